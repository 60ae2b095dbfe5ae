'use strict'
// One session's events, handed to their handlers strictly in order: the next
// one waits until the handler of the one before is done. Runners know nothing
// of each other, so a slow session keeps no other one waiting.

const { inspect } = require('node:util')
const { Decision, failed, relay, words } = require('./decisions')
const { Session } = require('./session')

const RELAY = relay()
const TIMER_MAX = 2 ** 31 - 1 // longer ones are due at once

// Whatever a handler throws, even what has no words.
const describe = error => error?.stack ?? inspect(error)

/** An event that waits for its turn; seq 0 awaits no answer. */
class Question {
  constructor (seq, kind, event, size, deadlineMs) {
    Object.assign(this, { seq, kind, event, size })
    this.deadline = deadlineMs ? performance.now() + deadlineMs : null
    this.withdrawn = false // nobody reads its answer any more
    this.abort = null
  }
}

class Runner {
  constructor (connection, id) {
    this.connection = connection
    this.policy = connection.policy
    this.id = id
    this.session = new Session(this, connection.weir)
    this.waiting = []
    this.current = null
    this.timer = null
    this.credited = { message: 0, allowed: 0 }
  }

  push (question) {
    this.waiting.push(question)
    this.connection.hold(question.size)
    if (this.current === null) this.advance()
  }

  withdraw (seq) {
    for (const question of [this.current, ...this.waiting]) {
      if (seq && question?.seq === seq) {
        question.withdrawn = true
        question.abort?.abort()
      }
    }
  }

  /** weir is gone: questions need no answer any more, what was told is still
   * told, and the session ends. */
  lost () {
    for (const question of [this.current, ...this.waiting]) {
      if (question?.seq) question.withdrawn = true
      question?.abort?.abort()
    }
    const open = [this.current, ...this.waiting]
    if (!open.some(question => question?.kind === 'sessionEnd')) {
      const event = { cause: 'policy connection lost', transactions: 0, bytes: 0 }
      this.push(new Question(0, 'sessionEnd', event, 0, 0))
    }
  }

  advance () {
    while (this.current === null && this.waiting.length) {
      this.current = this.waiting.shift()
      this.start(this.current)
    }
  }

  start (question) {
    const { kind, event } = question
    this.session.learn(kind, event, this.policy.bodyLimit)
    const handler = this.policy.handlers.get(kind)
    if (question.withdrawn || (handler === undefined && !question.seq)) {
      this.finish(question)
      return
    }
    let result
    try {
      if (handler === undefined) throw new Error('there is no handler for this phase')
      question.abort = new AbortController()
      result = handler.function(this.session, event, question.abort.signal)
    } catch (error) {
      this.failure(question, error)
      this.finish(question)
      return
    }
    if (typeof result?.then === 'function') {
      this.wait(question, result)
    } else {
      this.answer(question, result)
      this.finish(question)
    }
  }

  wait (question, promise) {
    this.arm(question)
    this.policy.busy.add(this)
    Promise.resolve(promise).then( // a thenable may have no finally
      result => this.answer(question, result),
      error => this.failure(question, error)
    ).finally(() => {
      this.disarm()
      this.policy.busy.delete(this)
      this.finish(question)
      this.advance()
      this.policy.settled()
    })
  }

  /** Ends the handler when weir has stopped waiting. */
  arm (question) {
    this.disarm()
    if (question.deadline === null) return
    const left = Math.max(question.deadline - performance.now(), 0)
    this.timer = setTimeout(() => {
      if (left > TIMER_MAX) return this.arm(question)
      this.policy.log(`session ${this.id}: no answer at ${question.kind} before the deadline`)
      this.withdraw(question.seq)
    }, Math.min(left, TIMER_MAX))
  }

  disarm () {
    clearTimeout(this.timer)
    this.timer = null
  }

  answer (question, result) {
    if (!question.seq || question.withdrawn) return
    try {
      if (result !== undefined && result !== null && !(result instanceof Decision)) {
        throw new TypeError(`a handler returns a decision or nothing, not ${inspect(result)}`)
      }
      this.send(question.seq, 'decision', (result ?? RELAY).fields)
    } catch (error) {
      this.failure(question, error)
    }
  }

  failure (question, error) {
    const words = `session ${this.id}: the handler for ${question.kind} failed`
    if (question.withdrawn || !question.seq) {
      if (error?.name !== 'AbortError') this.policy.log(`${words}: ${describe(error)}`)
      return
    }
    this.policy.log(`${words}; weir's on_error decides: ${describe(error)}`)
    this.send(question.seq, 'decision',
      failed(`the policy's handler for ${question.kind} failed: ${error?.message ?? inspect(error)}`).fields)
  }

  finish (question) {
    const { kind, event, size, seq } = question
    if (kind === 'body') this.credit(event)
    this.session.forget(kind)
    this.current = null
    if (kind === 'sessionEnd') this.connection.runners.delete(this.id)
    this.connection.release(size, seq)
  }

  /** Allow as much again as was taken, in steps of half a window. */
  credit ({ message, offset, data }) {
    const window = this.policy.bodyWindow
    if (this.credited.message !== message) this.credited = { message, allowed: window }
    const taken = offset + data.length
    if (this.credited.allowed - taken > window / 2) return
    this.credited.allowed = taken + window
    this.send(0, 'credit', { maxOffset: this.credited.allowed, message })
  }

  working (milliseconds) {
    const question = this.current
    if (!question?.seq || question.withdrawn) return
    const extraMs = Math.round(milliseconds)
    this.send(question.seq, 'working', { extraMs })
    if (question.deadline !== null) {
      question.deadline = Math.max(question.deadline, performance.now() + extraMs)
      if (this.timer !== null) this.arm(question)
    }
  }

  annotate (facts) {
    this.send(0, 'annotate', { annotations: words(facts) })
  }

  timeLeft () {
    const deadline = this.current?.deadline ?? null
    return deadline === null ? null : deadline - performance.now()
  }

  send (seq, answer, fields) {
    this.connection.send({ session: this.id, seq, [answer]: fields })
  }
}

module.exports = { Question, Runner }

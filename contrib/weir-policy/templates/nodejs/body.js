#!/usr/bin/node
// @NAME@: refuse messages with a phrase of the file "phrases" beside this
// program, one a line, in whatever case, in the body as it is sent.
'use strict'

const { readFileSync } = require('node:fs')
const path = require('node:path')
const { Policy, commandLine, reject } = require('weir-policy')

const phrases = readFileSync(path.join(__dirname, 'phrases'), 'utf8').split('\n')
  .map((line) => line.replace(/#.*/, '').trim().toLowerCase())
  .filter((line) => line !== '')
const policy = new Policy('@NAME@/1.0', { bodyLimit: 1000000 })

policy.on('@phase@', (session) => {
  const text = session.message.body.toString('utf8').toLowerCase()
  const phrase = phrases.find((words) => text.includes(words))
  if (phrase !== undefined) {
    return reject('Not with these words', { code: 550, enhanced: '5.7.1' })
      .because({ rule: phrase })
  }
})

policy.run(commandLine())

#!/usr/bin/node
// @NAME@: at most LIMIT (an environment variable, 100) @WHATS@ an hour
// from each @WHO@.
'use strict'

const { Policy, commandLine, tempfail } = require('weir-policy')

const limit = Number(process.env.LIMIT ?? 100)
const policy = new Policy('@NAME@/1.0')
const counts = new Map()
let hour = 0

policy.on('@phase@', (session, event) => {
  const now = Math.floor(Date.now() / 3600000)
  if (now !== hour) {
    hour = now
    counts.clear()
  }
  const who = @KEY@.toLowerCase()
  const count = (counts.get(who) ?? 0) + 1
  counts.set(who, count)
  if (count > limit) {
    return tempfail('Too many, try again later', { code: 451, enhanced: '4.7.1' })
      .because({ rule: 'rate', score: count })
  }
})

policy.run(commandLine())

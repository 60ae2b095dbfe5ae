#!/usr/bin/node
// @NAME@: refuse whoever is in the file "blocked" beside this program.
//
// One entry a line: @ENTRY@; "#" begins a comment.
'use strict'

const { readFileSync } = require('node:fs')
const path = require('node:path')
const { Policy, commandLine, reject } = require('weir-policy')

const blocked = new Set(
  readFileSync(path.join(__dirname, 'blocked'), 'utf8').split('\n')
    .map((line) => line.replace(/#.*/, '').trim().toLowerCase())
    .filter((line) => line !== ''))
const policy = new Policy('@NAME@/1.0')

policy.on('@phase@', (session, event) => {
  const who = @KEY@.toLowerCase()
  for (const entry of [who, '@' + who.slice(who.lastIndexOf('@') + 1)]) {
    if (blocked.has(entry)) {
      return reject('Blocked', { code: 550, enhanced: '5.7.1' })
        .because({ rule: entry })
    }
  }
})

policy.run(commandLine())

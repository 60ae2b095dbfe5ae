#!/usr/bin/node
// @NAME@: mark each message with a header field, X-@NAME@.
//
// weir.conf must grant it "headers".
'use strict'

const { Policy, commandLine, relay } = require('weir-policy')

const FIELD = 'X-@NAME@'
const policy = new Policy('@NAME@/1.0')

policy.on('@phase@', (session) => {
  let decision = relay()
  session.message.headers.all(FIELD).forEach((_, index) => {
    decision = decision.deleteHeader(FIELD, index) // none but ours
  })
  return decision.addHeader(FIELD, `from ${session.client.address}`)
})

policy.run(commandLine())

'use strict'
const { Policy } = require('./lib/policy')
const { commandLine } = require('./lib/listen')
const { Decision, discard, disconnect, reject, relay, tempfail } = require('./lib/decisions')
const { Headers, Session } = require('./lib/session')
const { toBytes, toText } = require('./lib/text')

module.exports = {
  Policy,
  commandLine,
  Decision,
  discard,
  disconnect,
  reject,
  relay,
  tempfail,
  Headers,
  Session,
  toBytes,
  toText
}

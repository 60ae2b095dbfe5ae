#!/usr/bin/env node
'use strict'
// Makes lib/schema.json and lib/events.d.ts of proto/policy.proto. What is
// made is kept in the tree, so that the package needs no protoc; a test
// compares. Only what policy.proto uses of the language is understood.

const fs = require('node:fs')
const path = require('node:path')

const PROTO = path.join(__dirname, '../../../../proto/policy.proto')
const LIB = path.join(__dirname, '../lib')
const SCALARS = { uint32: 'number', uint64: 'Int64', float: 'number', double: 'number',
  bool: 'boolean', string: 'string', bytes: 'string' }
const BUFFERS = new Set(['raw', 'data', 'peer_certificate']) // exact bytes are their point

const camel = name => name.toLowerCase().replace(/_(\w)/g, (_, c) => c.toUpperCase())

// { enums: {Phase: {connect: 1}}, messages: {Rcpt: [[1, 'raw', 'bytes', '']]} };
// the fourth of a field is repeated, map, buffer, or the name of its oneof.
function parse (text) {
  const tokens = text.replace(/\/\/.*/g, '').match(/"[^"]*"|[\w.]+|[{}=;<>,]/g)
  const schema = { enums: {}, messages: {} }
  let at = 0
  const next = () => tokens[at++]
  const skipTo = token => { while (next() !== token); }

  function parseEnum () {
    const name = next()
    const prefix = name.replace(/\B[A-Z]/g, '_$&').toUpperCase() + '_'
    const values = schema.enums[name] = {}
    skipTo('{')
    for (let word = next(); word !== '}'; word = next()) {
      skipTo('=')
      values[camel(word.replace(prefix, ''))] = Number(next())
      skipTo(';')
    }
  }

  function parseField (fields, type, flag) {
    if (type === 'repeated') [type, flag] = [next(), 'repeated']
    if (type === 'map') {
      skipTo('>')
      ;[type, flag] = ['string', 'map']
    }
    const name = next()
    if (type === 'bytes' && BUFFERS.has(name)) flag = 'buffer'
    skipTo('=')
    fields.push([Number(next()), name, type, flag])
    skipTo(';')
  }

  function parseMessage () {
    const fields = schema.messages[next()] = []
    let oneof = ''
    skipTo('{')
    for (let word = next(); word !== '}' || oneof; word = next()) {
      if (word === '}') oneof = ''
      else if (word === 'enum') parseEnum()
      else if (word === 'oneof') {
        oneof = next()
        skipTo('{')
      } else parseField(fields, word, oneof)
    }
  }

  while (at < tokens.length) {
    const word = next()
    if (word === 'message') parseMessage()
    else if (word === 'enum') parseEnum()
    else skipTo(';')
  }
  return schema
}

function json (schema) {
  const rows = part => Object.entries(part)
    .map(([name, value]) => `    "${name}": ${JSON.stringify(value)}`).join(',\n')
  return `{\n  "enums": {\n${rows(schema.enums)}\n  },\n  "messages": {\n${rows(schema.messages)}\n  }\n}\n`
}

function typeOf (schema, [, , type, flag]) {
  if (flag === 'map') return 'Record<string, string>'
  if (flag === 'buffer') return 'Buffer'
  const one = SCALARS[type] ?? type
  if (flag === 'repeated') return `${one}[]`
  return schema.messages[type] ? `${one} | null` : one
}

function declarations (schema) {
  const parts = ['// Made by tools/generate.js of proto/policy.proto.\n\n' +
    '/** 64 bits: a number where that is exact, else a bigint. */\n' +
    'export type Int64 = number | bigint\n']
  for (const [name, values] of Object.entries(schema.enums)) {
    const words = Object.keys(values).map(word => `'${word}'`).join(' | ')
    parts.push(`export type ${name} = ${words}\n`)
  }
  for (const [name, fields] of Object.entries(schema.messages)) {
    if (name === 'ToPolicy' || name === 'FromPolicy' || name === 'Decision') continue
    const lines = fields.map(f => `  ${camel(f[1])}: ${typeOf(schema, f)}\n`).join('')
    parts.push(`export interface ${name} {\n${lines}}\n`)
  }
  return parts.join('\n')
}

function generate () {
  const schema = parse(fs.readFileSync(PROTO, 'utf8'))
  return { 'schema.json': json(schema), 'events.d.ts': declarations(schema) }
}

if (require.main === module) {
  for (const [name, text] of Object.entries(generate())) {
    fs.writeFileSync(path.join(LIB, name), text)
  }
}

module.exports = { generate, PROTO }

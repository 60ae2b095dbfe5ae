'use strict'
// Endpoints, and the command line that names one.

const fs = require('node:fs/promises')
const net = require('node:net')
const tls = require('node:tls')
const { once } = require('node:events')
const { dirname, join } = require('node:path')
const { parseArgs } = require('node:util')

let sockets = 0 // made so far, each under its own name
const PATH_MAX = 107 // bytes; Node cuts a longer one without a word

/** Serve at "unix:/path", "tcp:host:port" or "tls:host:port". Gives the server,
 * its endpoint, and what stops it. */
async function listen (endpoint, secure, onConnection) {
  const [, kind, rest] = /^(unix|tcp|tls):(.+)$/.exec(endpoint ?? '') ?? []
  if (kind === 'unix') return await listenUnix(rest, onConnection)
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(rest ?? '') ?? []
  if (port === undefined) {
    throw new Error('no endpoint: write unix:/path, tcp:host:port or tls:host:port')
  }
  if (kind === 'tls' && !secure?.cert) throw new Error('tls: needs a certificate and its key')
  const server = kind === 'tls'
    ? tls.createServer({ minVersion: 'TLSv1.3', ...secure }, onConnection)
    : net.createServer({ noDelay: true }, onConnection)
  server.listen(Number(port), host)
  await once(server, 'listening')
  const bound = server.address()
  const name = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  return { endpoint: `${kind}:${name}:${bound.port}`, server, stop: () => server.close() }
}

// A socket that a dead server left behind is replaced; one that is alive is an
// error. It is made under another name and renamed: closing a server removes
// the file of the name it was made with, whoever's it is by then.
async function listenUnix (path, onConnection) {
  const before = await fs.lstat(path).catch(() => null)
  if (before && !before.isSocket()) throw new Error('the file is there and is no socket')
  if (before && await answers(path)) throw new Error('another server listens there')
  const server = net.createServer(onConnection)
  const made = join(dirname(path), `.${process.pid}.${sockets++}`)
  for (const name of [path, made]) {
    if (Buffer.byteLength(name) > PATH_MAX) throw new Error('the path is too long for a socket')
  }
  await fs.rm(made, { force: true }) // of a server that was killed just here
  server.listen(made)
  await once(server, 'listening')
  await fs.rename(made, path)
  const { ino } = await fs.lstat(path)
  const stop = async () => {
    server.close()
    const now = await fs.lstat(path).catch(() => null)
    if (now?.ino === ino) await fs.unlink(path)
  }
  return { endpoint: `unix:${path}`, server, stop }
}

async function answers (path) {
  const probe = net.connect(path)
  try {
    await once(probe, 'connect')
    return true
  } catch (error) {
    if (error.code !== 'ECONNREFUSED') throw error
    return false
  } finally {
    probe.destroy()
  }
}

const OPTIONS = {
  listen: { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-client-ca': { type: 'string' },
  help: { type: 'boolean' }
}

const HELP = `  --listen ENDPOINT      unix:/path, tcp:host:port or tls:host:port (port 0: any)
  --tls-cert FILE        certificate (PEM) for tls:
  --tls-key FILE         its key
  --tls-client-ca FILE   CAs: weir must show a certificate of one of them
`

/** The options of the command line: --listen and the like, and those of
 * `more` (as util.parseArgs has them). Ends the program if they are wrong. */
function commandLine (more = {}, help = '') {
  try {
    const { values } = parseArgs({ options: { ...OPTIONS, ...more } })
    if (values.help) {
      process.stdout.write(HELP + help)
      process.exit(0)
    }
    if (!values.listen) throw new Error('--listen is missing; --help tells more')
    return values
  } catch (error) {
    console.error(error.message)
    process.exit(2)
  }
}

/** What tls.createServer wants, of the files that the options name. */
async function secureOptions (options) {
  if (!options['tls-cert']) return undefined
  const read = name => options[name] && fs.readFile(options[name])
  const ca = await read('tls-client-ca')
  return {
    cert: await read('tls-cert'),
    key: await read('tls-key'),
    ...(ca && { ca, requestCert: true, rejectUnauthorized: true })
  }
}

module.exports = { commandLine, listen, secureOptions }

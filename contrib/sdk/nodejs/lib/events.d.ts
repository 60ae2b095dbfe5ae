// Made by tools/generate.js of proto/policy.proto.

/** 64 bits: a number where that is exact, else a bigint. */
export type Int64 = number | bigint

export type Phase = 'unspecified' | 'connect' | 'upstream' | 'tls' | 'ehlo' | 'auth' | 'command' | 'mail' | 'rcpt' | 'data' | 'headers' | 'body' | 'endOfMessage' | 'reply' | 'transactionEnd' | 'sessionEnd'

export type Mode = 'unspecified' | 'enforce' | 'observe'

export type Grant = 'unspecified' | 'headers' | 'body' | 'envelope' | 'outbound' | 'nextHop' | 'discard'

export type Leg = 'unspecified' | 'client' | 'upstream'

export type Outcome = 'unspecified' | 'delivered' | 'deferred' | 'rejected' | 'discarded' | 'aborted'

export type Action = 'unspecified' | 'relay' | 'reject' | 'tempfail' | 'discard' | 'disconnect'

export type Scope = 'command' | 'transaction' | 'session'

export type Op = 'unspecified' | 'add' | 'insert' | 'change' | 'delete'

export type TlsLevel = 'unspecified' | 'none' | 'may' | 'encrypt' | 'verify' | 'dane'

export interface Hello {
  major: number
  software: string
  instance: string
  policy: string
  mode: Mode
  features: string[]
  phases: Phase[]
  grants: Grant[]
  pools: Pool[]
  maxFrame: number
}

export interface Pool {
  name: string
  addresses: string[]
  ehloName: string
}

export interface Welcome {
  software: string
  version: string
  subscriptions: Subscription[]
  features: string[]
  maxFrame: number
  bodyCredit: Int64
  major: number
}

export interface Subscription {
  phase: Phase
  decide: boolean
  bodyPrefix: Int64
}

export interface Ready {
  subscriptions: Subscription[]
  refused: string[]
}

export interface Update {
  version: string
  subscriptions: Subscription[]
}

export interface Ping {
  token: Int64
}

export interface Pong {
  token: Int64
}

export interface Drain {
}

export interface Endpoint {
  address: string
  port: number
}

export interface Connect {
  connectionId: string
  listener: string
  client: Endpoint | null
  destination: Endpoint | null
  process: Process | null
  health: DestinationHealth | null
  resumed: boolean
}

export interface Process {
  uid: number
  pid: number
  cgroup: string
  command: string
}

export interface DestinationHealth {
  group: string
  sources: SourceHealth[]
}

export interface SourceHealth {
  source: string
  state: string
  open: number
  deferred: number
  rejected: number
  dataReplyP50Ms: number
}

export interface Upstream {
  local: Endpoint | null
  remote: Endpoint | null
  greeting: SmtpReply | null
  connectUs: Int64
  greetingUs: Int64
  error: string
}

export interface Tls {
  leg: Leg
  version: string
  cipher: string
  cipherBits: number
  peerCertificate: Buffer
  peerSubject: string
  peerIssuer: string
  verified: boolean
  verifyError: string
  resumed: boolean
  handshakeUs: Int64
}

export interface Ehlo {
  verb: string
  name: string
}

export interface Auth {
  mechanism: string
  identity: string
}

export interface Command {
  verb: string
  arguments: string
}

export interface Mail {
  transactionId: string
  raw: Buffer
  sender: string
  parameters: string[]
}

export interface Rcpt {
  raw: Buffer
  recipient: string
  parameters: string[]
  index: number
}

export interface Data {
  accepted: number[]
}

export interface Headers {
  raw: Buffer
  fields: Field[]
  message: number
}

export interface Field {
  offset: number
  length: number
  nameLength: number
}

export interface Body {
  offset: Int64
  message: number
  data: Buffer
}

export interface EndOfMessage {
  size: Int64
  truncated: boolean
  gaps: Gap[]
}

export interface Gap {
  offset: Int64
  length: Int64
}

export interface SmtpReply {
  code: number
  enhanced: string
  lines: string[]
}

export interface Reply {
  phase: Phase
  reply: SmtpReply | null
  latencyUs: Int64
  index: number
}

export interface TransactionEnd {
  transactionId: string
  outcome: Outcome
  decidedBy: string
  reply: SmtpReply | null
  ownDecisionApplied: boolean
  ifEnforced: Outcome
}

export interface SessionEnd {
  cause: string
  transactions: number
  bytes: Int64
}

export interface Cancel {
  seq: number
}

export interface HeaderEdit {
  op: Op
  name: string
  value: string
  index: number
}

export interface Splice {
  offset: Int64
  remove: Int64
  insert: string
}

export interface Outbound {
  sourceAddress: string
  sourcePool: string
  ehloName: string
  tls: TlsLevel
  tlsNames: string[]
  tlsa: Tlsa[]
  nextHop: Endpoint | null
}

export interface Tlsa {
  usage: number
  selector: number
  matching: number
  data: Buffer
}

export interface Working {
  extraMs: number
}

export interface Credit {
  maxOffset: Int64
  message: number
}

export interface Annotate {
  annotations: Record<string, string>
}

/** Policies for weir. README.md beside this file tells more. */
/// <reference types="node" />

import type * as events from './lib/events'
export * from './lib/events'

/** One field of a header section. */
export interface HeaderItem {
  name: string
  /** Unfolded, without the white space around it. */
  value: string
  raw: Buffer
}

export class Headers {
  constructor (facts: events.Headers)
  readonly raw: Buffer
  readonly fields: events.Field[]
  readonly message: number
  /** insertHeader counts by positions in it. */
  readonly items: HeaderItem[]
  /** changeHeader and deleteHeader count by positions in it. */
  all (name: string): HeaderItem[]
  /** The value of the first field of that name; '' without one. */
  get (name: string): string
}

export interface Message {
  headers: Headers
  /** Kept up to bodyLimit. */
  readonly body: Buffer
  /** Of all of it, known at endOfMessage. */
  size: events.Int64
  truncated: boolean
  gaps: events.Gap[]
}

export interface Transaction {
  id: string
  /** '' for <>. */
  sender: string
  mail: events.Mail
  /** Every one that was shown. */
  recipients: events.Rcpt[]
  /** Indexes of those that stand, known at data. */
  accepted: number[] | null
  message: Message | null
}

export class Session<State = any> {
  /** What weir says of itself: policy, mode, grants, pools. */
  readonly weir: events.Hello
  readonly connect: events.Connect | null
  readonly upstream: events.Upstream | null
  readonly tls: { client: events.Tls | null, upstream: events.Tls | null }
  readonly ehlo: events.Ehlo | null
  readonly auth: events.Auth | null
  readonly transaction: Transaction | null
  readonly connectionId: string
  readonly listener: string
  readonly client: events.Endpoint
  readonly destination: events.Endpoint
  /** The present transaction; throws if there is none. */
  readonly envelope: Transaction
  /** The present transaction's content; throws if there is none. */
  readonly message: Message
  /** The policy's own. */
  state: State
  /** Tell weir that the present answer takes so much longer, from now. */
  working (milliseconds: number): void
  /** Milliseconds until weir stops waiting; null if it does not wait. */
  timeLeft (): number | null
  /** Add facts to weir's record of this session. */
  annotate (facts: Record<string, string>): void
}

type Text = string | Uint8Array

/** An answer. It never changes; each method gives a new one. */
export class Decision {
  private constructor ()
  /** Add a field at the end of the header section. */
  addHeader (name: Text, value: Text): Decision
  /** Insert before field number `index`; 0 is the top. */
  insertHeader (index: number, name: Text, value: Text): Decision
  /** Replace the `index`th field of that name, from 0. */
  changeHeader (name: Text, value: Text, index?: number): Decision
  /** Delete the `index`th field of that name, from 0. */
  deleteHeader (name: Text, index?: number): Decision
  /** Replace `remove` bytes of the body at `offset`. */
  splice (offset: number, remove?: number, insert?: Text): Decision
  /** Choose how weir connects to the MX. */
  outbound (choice: Partial<Omit<events.Outbound, 'tlsa'>> & { tlsa?: events.Tlsa[] }): Decision
  /** At mail a new sender ('' for <>), at rcpt a new recipient. */
  rewrite (address: Text): Decision
  /** Let the client wait so long for the reply. */
  delay (milliseconds: number): Decision
  /** For weir's record only: the client never sees it. */
  because (why: { rule?: string, score?: number, reason?: string, annotations?: Record<string, string> }): Decision
}

export function relay (options?: { scope?: events.Scope }): Decision
export function reject (text?: string, options?: { code?: number, enhanced?: string, scope?: events.Scope }): Decision
export function tempfail (text?: string, options?: { code?: number, enhanced?: string, scope?: events.Scope }): Decision
export function discard (text?: string, options?: { scope?: events.Scope }): Decision
export function disconnect (text?: string, options?: { enhanced?: string }): Decision

/** What each handler gets. */
export interface Events {
  connect: events.Connect
  upstream: events.Upstream
  tls: events.Tls
  ehlo: events.Ehlo
  auth: events.Auth
  command: events.Command
  mail: events.Mail
  rcpt: events.Rcpt
  data: events.Data
  headers: Headers
  body: events.Body
  endOfMessage: events.EndOfMessage
  reply: events.Reply
  transactionEnd: events.TransactionEnd
  sessionEnd: events.SessionEnd
}

type Answer = Decision | undefined | null | void

export type Handler<E, State = any> =
  (session: Session<State>, event: E, signal: AbortSignal) => Answer | Promise<Answer>

export interface HandlerOptions {
  /** Whether weir waits for the answer. */
  decide?: boolean
  /** For body: at most so many bytes of each; 0: all. */
  prefix?: number
}

export interface PolicyOptions {
  /** Of the rules: recorded with each decision. */
  version?: string
  /** Also hear of the phases before those that have a handler (true). */
  context?: boolean
  /** Bytes of body kept for endOfMessage (10 MiB); 0: none. */
  bodyLimit?: number
  /** Body bytes per message that weir may send ahead (256 KiB). */
  bodyWindow?: number
  /** Milliseconds that SIGTERM leaves to handlers that are at work (5000). */
  stopTimeout?: number
  log?: (line: string) => void
}

export interface TlsOptions {
  cert: string | Buffer
  key: string | Buffer
  ca?: string | Buffer
  requestCert?: boolean
}

export class Policy<State = any> {
  constructor (software?: string, options?: PolicyOptions)
  software: string
  /** May be set at any time; weir is told. */
  version: string
  on<P extends keyof Events> (phase: P, handler: Handler<Events[P], State>): this
  on<P extends keyof Events> (phase: P, options: HandlerOptions, handler: Handler<Events[P], State>): this
  /** Serve until SIGTERM or SIGINT; then the process ends. */
  run (options: string | CommandLine): Promise<never>
  /** Serve until the signal aborts. */
  serve (endpoint: string, options?: {
    signal?: AbortSignal
    tls?: TlsOptions
    onListening?: (endpoint: string) => void
  }): Promise<void>
}

export interface CommandLine {
  listen: string
  'tls-cert'?: string
  'tls-key'?: string
  'tls-client-ca'?: string
  [option: string]: any
}

/** The options of the command line: --listen and the like, and those of `more`
 * as util.parseArgs has them. Ends the program if they are wrong. */
export function commandLine (
  more?: Record<string, { type: 'string' | 'boolean', short?: string, multiple?: boolean }>,
  help?: string): CommandLine

/** SMTP's bytes as a string; what is no UTF-8 survives. */
export function toText (bytes: Buffer): string
export function toBytes (text: Text): Buffer

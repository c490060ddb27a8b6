// <pns-inbox>: a user's notifications as a page of their own, of the same parts as the panel of the bell. Its
// attributes are the bell's; what is live is the client's, in client.js.

import { PNSClient, version } from './client.js'
import { Numbers } from './bell-counts.js'
import { Frame } from './bell-frame.js'
import { HERE } from './bell-load.js'
import './bell-seen.js'
import { sheetOf, sheetOfAll } from './bell-style.js'
import { textOf } from './bell-texts.js'
import { Panel } from './panel.js'

export { version }


const PAGE = `
:host { display: block; max-width: var(--pns-page-width, 44rem); margin-inline: auto }
.page { display: flex; flex-direction: column; border: 1px solid var(--border); border-radius: var(--radius); background: var(--surface); color: var(--text); outline: 0; overflow-wrap: anywhere; text-align: start }
.page .head { padding-block: .75rem; padding-inline: 1.25rem .75rem }
.page h2 { font-size: 1.25rem }
.page .head .close { width: 2.25rem; height: 2.25rem; font-size: .875rem }
.page .list { overflow: visible; padding: .5rem .625rem }
.page .tabs { padding-inline: .75rem }
.page .empty { padding-block: 5rem }
.page .choices { padding-inline: 1.25rem }
.page .notice { position: sticky; margin: 0 .5rem .5rem }
.page .state { padding-inline: 1.25rem }
@media (max-width: 30rem) { .page { border-inline: 0; border-radius: 0 } .page .list { padding: .25rem } }
`

let sheet

/** Without a document (a server that renders pages) the module loads, and defines nothing. */
const Base = globalThis.HTMLElement ?? class {}

export class PNSInbox extends Base {
  static observedAttributes = ['url', 'src', 'tabs', 'preferences']

  #client = null
  #headers
  #frame
  #panel
  #numbers = new Numbers(this, counts => this.#counted(counts))
  #user = ''
  #failure = ''
  #was = '' // the last state that was told
  #tick
  #page = null // ends what listens to the page

  /** Unseen notifications; 0 until known. */
  get count () { return this.#client?.count ?? 0 }

  /** `connecting`, `live`, `offline`, `logged-out` or `error`. */
  get state () { return this.#client?.state ?? 'connecting' }

  /** The client that the page uses, for whatever else is wanted of it; null when not in a page. */
  get client () { return this.#client }

  /** What each request carries in place of cookies: an async function that returns an object. */
  get headers () { return this.#headers }

  set headers (headers) {
    this.#headers = headers
    if (this.#client) this.#connect()
  }

  connectedCallback () {
    if (this.#client) return
    if (Object.hasOwn(this, 'headers')) {
      // What was set before the element was defined hides our own.
      this.#headers = this.headers
      delete this.headers
    }
    this.#page = new AbortController()
    document.addEventListener('visibilitychange', () => this.#follow(), { signal: this.#page.signal })
    this.#build()
    this.#connect()
  }

  disconnectedCallback () {
    // Moved within the page, it is connected again before this is asked.
    queueMicrotask(() => this.isConnected || this.#end())
  }

  attributeChangedCallback (name, before, now) {
    if (!this.#client || before === now) return
    this.#build()
    this.#connect()
  }

  /** The list could not load something. */
  failed () {
    this.#failure = textOf(this, 'failed')
    this.#line()
  }

  /** The list has shown these, and they are marked. */
  marked () {}

  // ── life ──

  #build () {
    this.#panel?.leave()
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' })
    this.#frame = new Frame(this)
    const { root: page, closer, retry } = this.#frame
    page.className = 'page'
    page.setAttribute('part', 'page')
    page.setAttribute('role', 'region')
    page.hidden = false
    closer.hidden = true
    retry.addEventListener('click', () => this.#again())
    sheet ??= sheetOf(PAGE)
    root.adoptedStyleSheets = [sheetOfAll()]
    root.replaceChildren(page)
    this.#panel = new Panel(this, this.#frame, this.#numbers)
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet]
  }

  #connect () {
    this.#client?.disconnect()
    const url = this.getAttribute('url') ?? this.getAttribute('src') ?? HERE
    const client = this.#client = new PNSClient(url, { connect: false, headers: this.#headers })
    const on = (name, act) => client.addEventListener(name, event => client === this.#client && act(event))
    this.#forget()
    on('user', () => this.#forget())
    on('count', ({ detail }) => {
      this.#tell('pns-count', detail)
      this.#follow()
    })
    on('counts', ({ detail }) => this.#numbers.take(detail))
    on('state', () => this.#turned())
    this.#numbers.follow(client, true)
    client.connect()
  }

  #end () {
    if (!this.#client) return
    clearTimeout(this.#tick)
    this.#page.abort()
    this.#client.disconnect()
    this.#client = null
    this.#numbers.forget()
    this.#panel.leave()
    this.#panel.clear()
  }

  #tell (name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }))
  }

  // ── what the client says ──

  /** Somebody else, or nobody: in this very turn nothing is left of what was shown. */
  #forget () {
    const userId = this.state === 'logged-out' ? '' : this.#client.userId
    if (this.#user && this.#user !== userId) {
      this.#numbers.forget()
      this.#panel.clear()
    }
    this.#user = userId
  }

  #counted (counts) {
    if (!this.#client) return
    this.#panel.counted(counts)
    this.#follow()
  }

  #turned () {
    const { state } = this
    if (state === 'live') {
      this.#failure = ''
      this.#panel.look()
    }
    if (state !== this.#was) this.#tell('pns-state', state)
    this.#was = state
    this.#line()
  }

  #follow () {
    if (this.state === 'live') this.#panel.changed()
  }

  /** The line above the list; it counts down. */
  #line () {
    clearTimeout(this.#tick)
    const wait = this.#frame.tell(this.#failure)
    this.#panel.turned(this.state)
    if (wait) this.#tick = setTimeout(() => this.#line(), wait)
  }

  #again () {
    this.#failure = ''
    if (this.state !== 'live') this.#client.connect()
    else this.#panel.look()
    this.#line()
  }
}

if (globalThis.customElements && !customElements.get('pns-inbox')) customElements.define('pns-inbox', PNSInbox)

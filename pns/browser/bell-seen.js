// <pns-seen collapse-key="order:7">: an element without looks. What it stands beside is what the notifications with
// this collapse key are about: they are seen, without the bell, once it stood in view of a visible page.

import { HERE } from './bell-load.js'
import { PNSClient } from './client.js'

const LOOKED_AT = 1000 // milliseconds in view of a visible page

const Base = globalThis.HTMLElement ?? class {}

export class PNSSeen extends Base {
  static observedAttributes = ['collapse-key', 'url']

  #page = null // ends what listens to the page
  #near = false // it is in view
  #timer
  #own = null // the client of a page without a bell
  #headers

  /** What each request carries in place of cookies, as of the bell; set, it speaks by itself. */
  get headers () { return this.#headers }

  set headers (headers) {
    this.#headers = headers
    this.#own?.disconnect()
    this.#own = null
    this.#look()
  }

  connectedCallback () {
    if (this.#page) return
    if (Object.hasOwn(this, 'headers')) {
      // What was set before the element was defined hides our own.
      this.#headers = this.headers
      delete this.headers
    }
    this.#page = new AbortController()
    const { signal } = this.#page
    const sight = new IntersectionObserver(entries => {
      this.#near = entries.at(-1).isIntersecting
      this.#look()
    })
    sight.observe(this)
    signal.addEventListener('abort', () => sight.disconnect())
    document.addEventListener('visibilitychange', () => this.#look(), { signal })
  }

  disconnectedCallback () {
    // Moved within the page, it is connected again before this is asked.
    queueMicrotask(() => this.isConnected || this.#end())
  }

  attributeChangedCallback () {
    this.#look()
  }

  #look () {
    clearTimeout(this.#timer)
    if (!this.#page || !this.#near || document.visibilityState !== 'visible') return
    this.#timer = setTimeout(() => this.#mark(), LOOKED_AT)
  }

  #mark () {
    const collapseKey = this.getAttribute('collapse-key')
    if (!collapseKey) return
    const url = this.getAttribute('url')
    const shared = url || this.#headers ? null : clientOfThePage()
    const client = shared ?? (this.#own ??= new PNSClient(url ?? HERE, { headers: this.#headers }))
    client.mark({ as: 'seen', collapseKey }).catch(() => {})
  }

  #end () {
    clearTimeout(this.#timer)
    this.#page?.abort()
    this.#own?.disconnect()
    this.#page = this.#own = null
    this.#near = false
  }
}

function clientOfThePage () {
  return [...document.querySelectorAll('pns-bell, pns-inbox')].find(one => one.client)?.client
}

if (globalThis.customElements && !customElements.get('pns-seen')) customElements.define('pns-seen', PNSSeen)

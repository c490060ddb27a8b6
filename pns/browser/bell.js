// <pns-bell>: a user's notifications as a button with a count, and a panel. It needs no attribute: PNS is where
// this file came from. No markup is ever parsed and no style is written into the page, so that it works under
// `default-src 'self'` and `require-trusted-types-for 'script'`. What is live is the client's, in client.js.

import { PNSClient, version } from './client.js'
import { Numbers } from './bell-counts.js'
import { Frame } from './bell-frame.js'
import { BELL, drawing, element } from './bell-item.js'
import { HERE, idle, panelModule } from './bell-load.js'
import './bell-seen.js'
import { sheetOfAll } from './bell-style.js'
import { langOf, textOf } from './bell-texts.js'
import { entitle } from './bell-title.js'
import { toastOf } from './bell-toast.js'

export { version }

const SLASH = 'M4 4l16 16'
const GAP = 8 // pixels between button, panel and the window's edge
const FETCH_AGAIN = 3000 // milliseconds until the panel's code is asked for again
const CALM = 800 // milliseconds in which several arrivals are one announcement

/** Without a document (a server that renders pages) the module loads, and defines nothing. */
const Base = globalThis.HTMLElement ?? class {}

export class PNSBell extends Base {
  static observedAttributes = ['url', 'src', 'toast', 'push', 'push-worker', 'max', 'lang', 'title-badge', 'app-badge', 'badge', 'tabs']

  // `render`, which a page may set, is no field: one would hide what was set before the element was defined.
  #client = null
  #headers
  #frame // the dialog, without its content
  #panel = null // its content, once its code is loaded
  #filling = null
  #numbers = new Numbers(this, counts => this.#counted(counts))
  #switch = null // of Web Push, where the page asks for it
  #user = ''
  #base = null // the last count that was told; null until one is known
  #arrived = 0 // not announced yet
  #failure = ''
  #timers = {}
  #page = null // ends what listens to the page
  #badged = false // the icon of the installed app shows the count
  #told = '' // the last state that was told
  #was = '' // the last one but `connecting`
  #root // the shadow root
  #button
  #badge
  #said // what a screen reader is told

  /** Unseen notifications; 0 until known. */
  get count () { return this.#client?.count ?? 0 }

  /** `connecting`, `live`, `offline`, `logged-out` or `error`. */
  get state () { return this.#client?.state ?? 'connecting' }

  /** The client that the bell uses, for whatever else the page wants of it; null when not in a page. */
  get client () { return this.#client }

  /** What each request carries in place of cookies: an async function that returns an object. */
  get headers () { return this.#headers }

  set headers (headers) {
    this.#headers = headers
    if (this.#client) this.#connect()
  }

  /** Web Push for this browser, the switch in the panel; null without the attribute `push`. */
  get webPush () { return this.#switch?.push ?? null }

  get isOpen () { return Boolean(this.#frame && !this.#frame.root.hidden) }

  connectedCallback () {
    if (this.#client) return
    this.#upgrade()
    this.#build()
    this.#page = new AbortController()
    const { signal } = this.#page
    document.addEventListener('pointerdown', event => this.#elsewhere(event), { signal, capture: true })
    document.addEventListener('visibilitychange', () => this.#follow(), { signal })
    addEventListener('resize', () => this.#place(), { signal })
    addEventListener('scroll', () => this.#place(), { signal, capture: true, passive: true })
    this.#connect()
  }

  disconnectedCallback () {
    // Moved within the page, it is connected again before this is asked.
    queueMicrotask(() => this.isConnected || this.#end())
  }

  attributeChangedCallback (name, before, now) {
    if (!this.#client || before === now) return
    if (['url', 'src', 'toast', 'push', 'push-worker'].includes(name)) this.#connect()
    else {
      this.#numbers.follow(this.#client)
      this.#count()
    }
  }

  /** Show the panel, which sees what is unseen. */
  open () {
    if (this.isOpen || !this.#client) return
    const { root } = this.#frame
    this.#toast()
    root.hidden = false
    root.showPopover?.()
    this.#button.setAttribute('aria-expanded', 'true')
    this.#failure = ''
    this.#place()
    root.focus({ preventScroll: true })
    this.#tell('pns-open')
    // A client.js of the release before may lack it.
    this.#client.wake?.()
    this.#numbers.follow(this.#client, true)
    this.#fill()
    this.#state()
    this.#look()
  }

  /** Hide the panel; the focus goes back to the button if it was inside. */
  close () {
    if (!this.isOpen) return
    const { root } = this.#frame
    const inside = root.contains(this.#root.activeElement)
    root.hidePopover?.()
    root.hidden = true
    this.#button.setAttribute('aria-expanded', 'false')
    clearTimeout(this.#timers.tick)
    this.#panel?.leave()
    if (inside) this.#button.focus({ preventScroll: true })
    this.#tell('pns-close')
  }

  /** The panel could not load something. */
  failed () {
    this.#failure = textOf(this, 'failed')
    this.#state()
  }

  /** The panel has shown these, and they are marked. */
  marked (notifications) {
    this.#switch?.seen(notifications)
  }

  // ── life ──

  /** What was set before the element was defined hides our own. */
  #upgrade () {
    if (!Object.hasOwn(this, 'headers')) return
    this.#headers = this.headers
    delete this.headers
  }

  #build () {
    if (this.#frame) return
    this.#root = this.#attach()
    this.#root.replaceChildren()
    this.#root.adoptedStyleSheets = [sheetOfAll()]
    this.#frame = new Frame(this)
    const { root, closer, retry } = this.#frame
    this.#badge = element('span', { class: 'badge', part: 'badge', 'aria-hidden': 'true', hidden: '' })
    this.#button = element('button', { class: 'bell', part: 'button', type: 'button', 'aria-haspopup': 'dialog', 'aria-expanded': 'false', 'aria-controls': 'panel' },
      drawing(BELL, SLASH), this.#badge)
    this.#said = element('span', { class: 'said', role: 'status', 'aria-live': 'polite' })
    if (root.showPopover) root.setAttribute('popover', 'manual')
    this.#button.addEventListener('click', () => this.isOpen ? this.close() : this.open())
    for (const name of ['pointerenter', 'focus']) this.#button.addEventListener(name, () => this.#fill())
    closer.addEventListener('click', () => this.close())
    retry.addEventListener('click', () => this.#again())
    this.#root.addEventListener('keydown', event => this.#key(event))
    root.addEventListener('focusout', event => this.#left(event))
    this.#root.append(this.#button, root, this.#said)
  }

  /** The shadow root: our own, or one that the server has rendered (`shadowrootmode`), be that open or closed. */
  #attach () {
    try {
      return this.shadowRoot ?? this.attachShadow({ mode: 'open' })
    } catch {
      return this.attachInternals().shadowRoot
    }
  }

  #connect () {
    this.#client?.disconnect()
    const url = this.getAttribute('url') ?? this.getAttribute('src') ?? HERE
    const client = this.#client = new PNSClient(url, {
      connect: false, follow: this.hasAttribute('toast'), frames: this.hasAttribute('frames'), headers: this.#headers
    })
    const mine = act => event => client === this.#client && act(event)
    this.#forget()
    client.addEventListener('user', mine(() => this.#forget()))
    client.addEventListener('count', mine(() => this.#changed()))
    client.addEventListener('counts', mine(({ detail }) => this.#numbers.take(detail)))
    client.addEventListener('state', mine(() => this.#turned()))
    client.addEventListener('notifications', mine(({ detail }) => detail.first || this.#toast(detail.items)))
    client.addEventListener('frame', mine(({ detail }) => this.#tell('pns-frame', detail)))
    this.#count()
    this.#state()
    this.#numbers.follow(client)
    client.connect()
    this.#equip(client).catch(() => {})
  }

  /** The switch of Web Push. Its code is fetched by pages that want it. */
  async #equip (client) {
    this.#switch?.end()
    this.#switch = null
    if (!this.hasAttribute('push')) return
    const { PushSwitch } = await import('./bell-push.js')
    if (client !== this.#client) return
    this.#switch = new PushSwitch(this, { worker: this.getAttribute('push-worker'), changed: () => this.#count() })
    this.#frame.root.append(this.#switch.root)
    this.#switch.turned()
  }

  #end () {
    if (!this.#client) return
    this.close()
    this.#toast()
    this.#page.abort()
    for (const timer of Object.values(this.#timers)) clearTimeout(timer)
    this.#timers = {}
    this.#client.disconnect()
    this.#client = null
    this.#numbers.forget()
    this.#switch?.end()
    this.#switch = null
    entitle(this, null)
    this.#panel?.clear()
  }

  /** The panel's code is fetched when somebody is about to open it, or when the page has nothing to do. */
  async #fill () {
    if (this.#panel || this.#filling) return
    this.#timers.fill = clearTimeout(this.#timers.fill)
    this.#filling = panelModule()
    try {
      const { Panel } = await this.#filling
      this.#panel = new Panel(this, this.#frame, this.#numbers)
    } catch {
      this.#failure = textOf(this, 'failed')
      if (this.isOpen) this.#timers.fill = setTimeout(() => this.#fill(), FETCH_AGAIN)
    }
    this.#filling = null
    if (!this.#client) return
    if (this.#panel) this.#failure = ''
    this.#line()
    this.#place()
    this.#look()
  }

  #tell (name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }))
  }

  // ── what the client says ──

  #changed () {
    const { count } = this
    // First of all: nothing that is built may hold the number up.
    this.#count()
    this.#rise(count)
    this.#tell('pns-count', count)
    this.#switch?.counted()
    this.#follow()
  }

  /** What is unread is another number, or something was marked elsewhere. */
  #counted (counts) {
    if (!this.#client) return
    this.#count()
    this.#panel?.counted(counts)
    this.#follow()
  }

  #turned () {
    const { state } = this
    if (state === 'live') {
      this.#base ??= this.count
      this.#failure = ''
      if (this.isOpen) {
        this.#fill()
        this.#follow()
      } else idle(() => this.isConnected && document.visibilityState === 'visible' && this.#fill())
    }
    // A client.js of the release before, which a node of that release may still serve, tells no 'user'.
    if (this.#user !== this.#owner() && (this.#owner() || state === 'logged-out')) this.#forget()
    this.#switch?.turned()
    this.#state()
  }

  #owner () {
    return this.state === 'logged-out' ? '' : this.#client.userId
  }

  /** Somebody else, or nobody: in this very turn nothing is left of what was shown, nor of what was about to be. */
  #forget () {
    const userId = this.#owner()
    this.#base = null
    if (this.#user && this.#user !== userId) {
      this.#numbers.forget()
      this.#panel?.clear()
      this.#toast()
      this.#timers.announce = clearTimeout(this.#timers.announce)
      this.#arrived = 0
      this.#said.textContent = ''
      this.#button.classList.remove('ring')
    }
    this.#user = userId
    this.#count()
    this.#switch?.turned()
  }

  #rise (count) {
    const more = this.#base === null ? 0 : count - this.#base
    if (this.state === 'live' || this.#base !== null) this.#base = count
    if (more <= 0) return
    this.#arrived += more
    this.#timers.announce ??= setTimeout(() => this.#announce(), CALM)
    this.#ring()
  }

  #announce () {
    this.#timers.announce = null
    this.#said.textContent = textOf(this, 'arrived', this.#arrived)
    this.#arrived = 0
  }

  #ring () {
    this.#button.classList.remove('ring')
    requestAnimationFrame(() => this.#button.classList.add('ring'))
    const sound = this.getAttribute('sound')
    if (sound && document.visibilityState === 'visible') new Audio(sound).play().catch(() => {})
  }

  // ── what is shown ──

  #count () {
    const unread = this.#numbers.onBadge
    const count = unread ?? this.count
    const max = Number(this.getAttribute('max')) || 99
    const format = new Intl.NumberFormat(langOf(this))
    this.#badge.hidden = !count
    this.#badge.textContent = count > max ? `${format.format(max)}+` : format.format(count)
    this.#button.setAttribute('aria-label', count ? textOf(this, unread ? 'label-unread' : 'label-unseen', count) : textOf(this, 'label'))
    const mark = count ? `(${this.#badge.textContent}) ` : ''
    entitle(this, this.hasAttribute('title-badge') ? mark : null, count)
    const badged = this.hasAttribute('app-badge') || Boolean(this.#switch?.isOn)
    if (badged || this.#badged) navigator.setAppBadge?.(badged ? count : 0).catch(() => {})
    this.#badged = badged
  }

  #state () {
    const { state } = this
    if (state !== this.#told) {
      this.#button.className = { connecting: 'bell waiting', live: 'bell' }[state] ?? 'bell off'
      this.#button.setAttribute('part', `button ${state}`)
      // Not the first connection, and not each try: only what a user has to know.
      if (this.#was && state !== 'connecting' && state !== this.#was) this.#said.textContent = textOf(this, state)
      if (state !== 'connecting') this.#was = state
      this.#told = state
      this.#tell('pns-state', state)
    }
    this.#line()
  }

  /** The line above the list; it counts down while anybody can see it. */
  #line () {
    clearTimeout(this.#timers.tick)
    if (!this.isOpen) return
    const wait = this.#frame.tell(this.#failure)
    this.#panel?.turned(this.state)
    if (wait) this.#timers.tick = setTimeout(() => this.#line(), wait)
  }

  #again () {
    this.#failure = ''
    this.#fill()
    if (this.state !== 'live') this.#client.connect()
    else this.#look()
    this.#line()
  }

  #look () {
    if (this.isOpen) this.#panel?.look()
  }

  /** Something happened to what an open panel lists, or may have happened meanwhile. */
  #follow () {
    if (this.isOpen && this.state === 'live') this.#panel?.changed()
  }

  #toast (items) {
    this.#root.querySelector('.toast')?.remove()
    if (!items?.length || this.isOpen || !this.hasAttribute('toast')) return
    this.#root.append(toastOf(this, items))
  }

  // ── where it stands, and what closes it ──

  #place () {
    if (!this.isOpen) return
    const { root } = this.#frame
    const button = this.#button.getBoundingClientRect()
    const { clientWidth: width, clientHeight: height } = document.documentElement
    const wanted = getComputedStyle(this).direction === 'rtl' ? button.left : button.right - root.offsetWidth
    const below = height - button.bottom - 2 * GAP
    const above = button.top - 2 * GAP
    const up = below < 240 && above > below
    root.style.left = `${Math.max(GAP, Math.min(wanted, width - root.offsetWidth - GAP))}px`
    root.style.top = up ? 'auto' : `${button.bottom + GAP}px`
    root.style.bottom = up ? `${height - button.top + GAP}px` : 'auto'
    root.style.maxHeight = `min(var(--pns-max-height, 36rem), ${Math.max(160, up ? above : below)}px)`
  }

  #elsewhere (event) {
    if (this.isOpen && !event.composedPath().includes(this)) this.close()
  }

  #left ({ relatedTarget }) {
    if (!relatedTarget || this.#root.contains(relatedTarget)) return
    this.close()
  }

  #key (event) {
    if (event.key !== 'Escape' || !this.isOpen) return
    event.stopPropagation()
    this.close()
  }
}

if (globalThis.customElements && !customElements.get('pns-bell')) customElements.define('pns-bell', PNSBell)

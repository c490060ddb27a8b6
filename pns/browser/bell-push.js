// The switch at the foot of the panel: notifications while the page is closed. Loaded by the bell only where its
// attribute `push` asks for it. What is on or off is WebPush's, in push.js; what is seen and who is logged in, the
// bell's: this tells the one of the other.

import { contentOf, element } from './bell-item.js'
import { dress } from './bell-style.js'
import { textOf } from './bell-texts.js'
import { WebPush } from './push.js'

const UNSHOWN = ['unknown', 'unsupported']

const CSS = `
.push { flex: none; padding: .375rem; border-block-start: 1px solid var(--border); font-size: .875rem }
.push button { display: flex; align-items: center; gap: .75rem; width: 100%; padding: .5rem .625rem; border-radius: 10px; text-align: start }
.push button:hover { background: var(--hover) }
.push button:focus-visible { outline-offset: -2px }
.push button span:first-child { flex: 1 }
.push [aria-busy=true] { cursor: progress }
.push [aria-busy=true] .track, .push [aria-disabled=true] .track { opacity: .5 }
.push p { padding: 0 .625rem .375rem; color: var(--muted); font-size: .8125rem }
.push p:empty { display: none }
`

export class PushSwitch {
  #bell
  #user // who it was started for; null: nobody, undefined: nobody has looked yet
  #live = false
  #button
  #note

  /** `worker` is a file of the page's own; `changed` is called with each new state. */
  constructor (bell, { worker, changed }) {
    this.#bell = bell
    this.push = new WebPush(bell.client.url, { worker, title: textOf(bell, 'push-title'), headers: bell.headers })
    this.#button = element('button', { part: 'push-switch', type: 'button', role: 'switch', 'aria-checked': 'false', 'aria-describedby': 'push-note' },
      element('span', {}, textOf(bell, 'push')), element('span', { class: 'track' }))
    this.#note = element('p', { id: 'push-note', part: 'push-note', role: 'status' })
    this.root = element('div', { class: 'push', part: 'push', hidden: '' }, this.#button, this.#note)
    this.#button.addEventListener('click', () => this.#toggle())
    this.push.addEventListener('state', () => {
      this.#draw()
      changed()
    })
    this.push.addEventListener('click', event => this.#clicked(event))
  }

  get isOn () { return this.push.state === 'on' }

  /** The bell's state or user has changed, or the switch is new. */
  turned () {
    const { state, client } = this.#bell
    // What was shown to somebody else is not for the next one at this browser.
    if (this.#user && client.userId && client.userId !== this.#user) {
      this.push.dismiss()
      this.#user = undefined
    }
    if (state === 'live' && client.userId !== this.#user) this.#start(client.userId)
    else if (state === 'live' && !this.#live) this.push.check()
    this.#live = state === 'live'
    if (state === 'logged-out' && this.#user !== null) {
      this.#user = null
      this.push.pause()
    }
    this.counted()
  }

  /** What is unseen has changed: what somebody has seen elsewhere need not be shown here any more. */
  counted () {
    const { state, count } = this.#bell
    if (state === 'live' && !count) this.push.dismiss()
  }

  /** The panel has shown these. */
  seen (notifications) {
    this.push.dismiss(notifications.map(({ notification_id: id }) => id))
  }

  end () {
    this.push.stop()
    this.root.remove()
  }

  async #start (user) {
    this.#user = user
    const state = await this.push.start()
    if (state === 'unknown' && this.#user === user) this.#user = undefined
  }

  #toggle () {
    if (this.isOn) this.push.disable()
    else this.push.enable()
  }

  #draw () {
    const { state, problem } = this.push
    const hide = UNSHOWN.includes(state)
    dress(this.root, CSS)
    if (hide && this.root.contains(this.root.getRootNode().activeElement)) this.root.parentNode.focus()
    this.root.hidden = hide
    this.#button.setAttribute('aria-busy', String(state === 'busy'))
    this.#button.setAttribute('aria-disabled', String(state === 'denied'))
    if (state !== 'busy') this.#button.setAttribute('aria-checked', String(state === 'on'))
    this.#note.textContent = state === 'denied' ? textOf(this.#bell, 'push-denied') : problem ? textOf(this.#bell, 'push-failed') : ''
  }

  /** As if it had been chosen in the panel: the page may go there in its own way. */
  #clicked (event) {
    event.preventDefault()
    const { id, when, title, body, url, icon } = event.detail
    const data = JSON.stringify({ title, body, url, icon })
    const notification = { notification_id: id, notification_data: data, create_date: new Date(when).toISOString() }
    const content = contentOf(data)
    const told = new CustomEvent('pns-click', { detail: { notification, content }, bubbles: true, composed: true, cancelable: true })
    if (!this.#bell.dispatchEvent(told)) return
    if (content.url) location.assign(content.url)
    else this.#bell.open()
  }
}

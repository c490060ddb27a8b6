// The buttons of a notification, by the convention of `actions` in its data. GET is a link. POST is sent by the page
// itself, to the page's own origin alone, with its cookies and with the token that guards its forms.

import { element, link, saidIn } from '../bell-item.js'
import { textOf } from '../bell-texts.js'
import { told } from './item.js'

const MOST = 2
const METHODS = ['GET', 'POST']
const STYLES = ['primary', 'danger']

/** What may be shown of `data`: the first two that have a label, and an address that is safe. */
export function actionsOf (data) {
  const { actions } = saidIn(data)
  return Array.isArray(actions) ? actions.map(checked).filter(Boolean).slice(0, MOST) : []
}

function checked (action) {
  const { label, url, method = 'GET', style } = action ?? {}
  if (typeof label !== 'string' || !label.trim() || typeof url !== 'string' || !METHODS.includes(method)) return null
  const safe = link(url)
  if (!safe || (method === 'POST' && new URL(safe).origin !== location.origin)) return null
  return { label: label.trim(), url: safe, method, style: STYLES.includes(style) ? style : '' }
}

export class Actions {
  #host
  #entry
  #isBusy = false
  #opened
  #note = element('span', { class: 'note', part: 'action-note', role: 'status' })

  /** Those of `entry`; `opened` is called when one has done what it says. */
  constructor (host, entry, opened) {
    this.#host = host
    this.#entry = entry
    this.#opened = opened
    this.buttons = actionsOf(entry.notification.notification_data).map(action => this.#button(action))
    this.root = this.buttons.length ? element('div', { class: 'actions', part: 'actions' }, ...this.buttons, this.#note) : ''
  }

  #button (action) {
    const { label, url, method, style } = action
    const isLink = method === 'GET'
    const made = element(isLink ? 'a' : 'button', { part: `action ${style}`.trim(), dir: 'auto', tabindex: -1, ...isLink ? { href: url } : { type: 'button' } }, label)
    made.addEventListener('click', event => isLink ? this.#follow(action, event) : this.#press(action, made))
    if (isLink) made.addEventListener('auxclick', event => event.button === 1 && this.#opened())
    return made
  }

  #mayGoOn (action) {
    const { notification, content } = this.#entry
    return told(this.#host, 'pns-action', { notification, content, action: { ...action } })
  }

  #follow (action, event) {
    if (!this.#isBusy && this.#mayGoOn(action)) this.#opened()
    else event.preventDefault()
  }

  async #press (action, button) {
    if (this.#isBusy || !this.#mayGoOn(action)) return
    const focused = button.matches(':focus')
    this.#busy(true)
    this.#say('')
    const done = await this.#post(action)
    this.#busy(false)
    this.#say(done ? 'action-done' : 'action-failed', action.label)
    for (const each of this.buttons) each.hidden = done
    // What is disabled or hidden loses the focus: in Chromium at once, in Firefox when the page is drawn next.
    const at = button.getRootNode().activeElement
    if (focused && (!at || at === button)) (done ? this.#entry.target : button).focus()
    if (done) this.#opened()
  }

  /** True if it answered 2xx. A redirect is none: it may well lead to a login. */
  async #post ({ url }) {
    const header = this.#host.getAttribute('csrf-header')
    const token = document.querySelector('meta[name="csrf-token"]')?.content
    const headers = header && token ? { [header]: token } : {}
    try {
      const answer = await fetch(url, { method: 'POST', mode: 'same-origin', credentials: 'same-origin', redirect: 'manual', headers })
      return answer.ok
    } catch {
      return false
    }
  }

  #busy (busy) {
    this.#isBusy = busy
    for (const each of this.buttons) {
      each.setAttribute('aria-disabled', String(busy))
      if (each.localName === 'button') each.disabled = busy
    }
  }

  #say (name, label) {
    this.#note.textContent = name && textOf(this.#host, name).replace('{label}', () => label)
    this.#note.className = `note ${name}`
  }
}

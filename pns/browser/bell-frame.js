// The dialog of the bell before its content is there: its heading, what closes it, and the line that says how the
// connection is. What it lists comes with panel.js.

import { drawing, element } from './bell-item.js'
import { textOf } from './bell-texts.js'

export class Frame {
  #host

  /** `host` is the element whose dialog this is. */
  constructor (host) {
    this.#host = host
    const text = name => textOf(host, name)
    this.title = element('h2', { id: 'title', part: 'title' }, text('label'))
    this.closer = element('button', { class: 'close', part: 'close', type: 'button', 'aria-label': text('close') }, drawing('M5 5l14 14M19 5L5 19'))
    this.line = element('span')
    this.retry = element('button', { part: 'retry', type: 'button' }, text('retry'))
    this.state = element('div', { class: 'state', part: 'state', hidden: '' }, this.line, this.retry)
    this.head = element('div', { class: 'head', part: 'head' }, this.title, this.closer)
    this.loading = element('p', { class: 'loading', part: 'loading' }, text('loading'))
    this.root = element('div', { id: 'panel', class: 'panel', part: 'panel', role: 'dialog', 'aria-labelledby': 'title', tabindex: -1, hidden: '' },
      this.head, this.state, this.loading)
  }

  /**
   * Say above the list how the connection is; of a live one, what has failed, or nothing. Returns in how many
   * milliseconds the words change, as where they count down, else 0.
   */
  tell (failure) {
    const { client, state } = this.#host
    const left = Math.ceil(((client.retryAt ?? 0) - Date.now()) / 1000)
    if (state === 'offline' && left > 0) {
      this.#say(textOf(this.#host, 'offline-in', left), state)
      return 1000 - (Date.now() % 1000)
    }
    this.#say(state === 'live' ? failure : textOf(this.#host, state), state)
    return 0
  }

  #say (text, state) {
    this.state.hidden = !text
    this.state.className = `state ${state}`
    this.retry.hidden = state === 'connecting'
    if (this.line.textContent !== text) this.line.textContent = text
    this.loading.hidden = Boolean(text) && state !== 'connecting'
  }
}

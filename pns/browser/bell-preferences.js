// The preferences of a user as switches, in place of the list: a category's title, what it is about, and a switch for
// each channel. What was switched shows at once, and goes back with the reason where PNS says no.

import { drawing, element } from './bell-item.js'
import { dress } from './bell-style.js'
import { addTexts, ownText, textOf } from './bell-texts.js'
import { Preferences } from './preferences.js'

const CHANNELS = ['inbox', 'push', 'webhook']
const USUAL = ['inbox', 'push'] // what a page shows that names none
const LOCK = 'M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z'

export const PREFERENCE_TEXTS = {
  'channel-inbox': 'Inbox',
  'channel-push': 'Push',
  'channel-webhook': 'Email',
  'preferences-empty': 'There is nothing to choose.',
  'preferences-failed': 'This could not be loaded. Try again later.',
  'preference-required': 'Always on',
  'preference-failed': 'This could not be saved. Try again later.'
}

addTexts(PREFERENCE_TEXTS)

const CSS = `
:not(.choosing) > .choices, .choosing > :is(.box, .push, .loading), .choosing > .head [part=read-all] { display: none }
.choosing > .head { padding-inline-start: .5rem }
.back:dir(rtl) svg { transform: scaleX(-1) }
.choices { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; padding: .375rem 1rem 1rem; outline: 0 }
.choices fieldset { min-width: 0; margin: 0; padding: .875rem 0; border: 0; border-block-end: 1px solid var(--border) }
.choices fieldset:last-of-type { border: 0 }
.choices legend { float: inline-start; width: 100%; padding: 0; font-weight: 600; line-height: 1.35 }
.choices legend + * { clear: both }
.choices small { display: block; color: var(--muted); font-size: .875rem; line-height: 1.4 }
.channels { display: flex; flex-wrap: wrap; gap: .375rem 1.5rem; margin-block-start: .5rem }
.channels button { display: flex; align-items: center; gap: .5rem; padding: .25rem 0; border-radius: 8px; font-size: .875rem }
.channels [aria-disabled=true] { cursor: default; color: var(--muted) }
.channels [aria-disabled=true] .track { opacity: .45 }
.channels [aria-busy=true] { cursor: progress }
.channels button { text-align: start }
.channels span:last-child, .channels small { display: flex; align-items: center; gap: .5rem }
.channels small { gap: .25rem; font-size: .8125rem }
.channels svg { width: 1rem; height: 1rem }
.choices [role=status]:not(:empty) { margin-block-start: .375rem; color: var(--danger, #b3261e); font-size: .8125rem }
.choices > p { padding: 2rem 0; color: var(--muted); text-align: center }
`

/** What the application calls its categories, by their names. */
export async function titlesOf ({ client, headers }) {
  const found = await new Preferences(client, { headers }).read()
  return Object.fromEntries(found.map(({ category, title }) => [category, title]))
}

export class Choices {
  #host
  #preferences
  #epoch = 0 // rises when it is somebody else's

  /** `host` is the element in whose panel it stands: its client, its headers and its words are taken. */
  constructor (host) {
    this.#host = host
    this.root = element('div', { class: 'choices', part: 'preferences', tabindex: -1, 'aria-labelledby': 'title' })
  }

  /** All categories, read anew; `titled` is called with their titles. */
  async load (titled = () => {}) {
    const host = this.#host
    const epoch = ++this.#epoch
    dress(this.root, CSS)
    this.#preferences = new Preferences(host.client, { headers: host.headers })
    this.#say('loading')
    try {
      const found = await this.#preferences.read()
      if (epoch !== this.#epoch) return
      titled(Object.fromEntries(found.map(({ category, title }) => [category, title])))
      if (found.length) this.root.replaceChildren(...found.map(one => this.#category(one)))
      else this.#say('preferences-empty')
    } catch {
      if (epoch === this.#epoch) this.#say('preferences-failed')
    }
  }

  /** Forget everything; also what is still on its way. */
  clear () {
    this.#epoch++
    this.root.replaceChildren()
  }

  #say (name) {
    this.root.replaceChildren(element('p', { role: 'status' }, textOf(this.#host, name)))
  }

  get #channels () {
    const named = this.#host.getAttribute('preferences')?.split(/[\s,]+/).filter(name => CHANNELS.includes(name))
    return named?.length ? named : USUAL
  }

  #category ({ category, title, description, required, ...on }) {
    const said = element('p', { role: 'status' })
    const switches = element('div', { class: 'channels' })
    const about = description ? [element('small', { dir: 'auto' }, description)] : []
    const words = ownText(this.#host, `tab-${category}`) ?? title
    for (const channel of this.#channels) {
      const locked = required.includes(channel)
      switches.append(this.#switch({ category, channel, isOn: on[channel] || locked, locked, said }))
    }
    return element('fieldset', { part: 'preference' }, element('legend', { dir: 'auto' }, words), ...about, switches, said)
  }

  #switch ({ category, channel, isOn, locked, said }) {
    const words = element('span', {}, textOf(this.#host, `channel-${channel}`))
    const made = element('button', { part: 'preference-switch', type: 'button', role: 'switch', 'aria-checked': String(isOn), 'aria-disabled': locked ? 'true' : undefined },
      element('span', { class: 'track' }), words)
    if (locked) words.append(element('small', {}, drawing(LOCK), textOf(this.#host, 'preference-required')))
    else made.addEventListener('click', () => this.#turn(made, { category, channel, said }))
    return made
  }

  async #turn (made, { category, channel, said }) {
    if (made.getAttribute('aria-busy') === 'true') return
    const epoch = this.#epoch
    const isOn = made.getAttribute('aria-checked') !== 'true'
    said.textContent = ''
    made.setAttribute('aria-checked', String(isOn))
    made.setAttribute('aria-busy', 'true')
    try {
      await this.#preferences.change({ [category]: { [channel]: isOn } })
    } catch (error) {
      if (epoch !== this.#epoch) return
      made.setAttribute('aria-checked', String(!isOn))
      said.textContent = textOf(this.#host, error.code === 'category_required' ? 'preference-required' : 'preference-failed')
      if (error.code === 'unknown_category') this.load()
    } finally {
      made.setAttribute('aria-busy', 'false')
    }
  }
}

// Snoozing from the menu of an entry: when it comes back, and the way back before that. bell-load.js fetches this file
// once a list is shown whose notifications have a menu; nothing of it is offered where PNS does not know it.

import { element } from './bell-item.js'
import { dress } from './bell-style.js'
import { addTexts, langOf, textOf } from './bell-texts.js'
import { Snooze, snoozeTimes } from './snooze.js'

const DAY_MS = 86_400_000
const RETURNS_IN = 2000 // milliseconds until it is asked again whether something is back
const TRIES = 5

export const SNOOZE_TEXTS = {
  snooze: 'Snooze',
  'snooze-hour': 'In an hour',
  'snooze-tomorrow': 'Tomorrow at nine',
  'snooze-week': 'Next week',
  snoozed: 'Snoozed until {when}.'
}

addTexts(SNOOZE_TEXTS)

const CSS = `
.menu [aria-haspopup]::after { content: "›" / ""; float: inline-end; margin-inline-start: 1rem; color: var(--muted) }
.menu [aria-haspopup]:dir(rtl)::after { content: "‹" / "" }
.menu .time { display: flex; justify-content: space-between; gap: 1.5rem }
.menu .time small { color: var(--muted); font-size: .8125rem; white-space: nowrap }
`

const known = new WeakMap() // by client: what snoozes, or null, or the promise of it

/** What snoozes for `host`, whose list is `list`; null where PNS cannot. Rejects where that cannot be said. */
export function snoozingOf (host, list) {
  const { client } = host
  if (!known.has(client)) known.set(client, found(host).catch(error => known.delete(client) && Promise.reject(error)))
  dress(list, CSS)
  return known.get(client)
}

async function found (host) {
  const snooze = new Snooze(host.client, { headers: host.headers })
  return await snooze.isKnown() ? new Snoozing(host, snooze) : null
}

class Snoozing {
  #host
  #snooze

  /** False once PNS has refused what it knew before: another node may be of a release before. */
  isAble = true

  constructor (host, snooze) {
    this.#host = host
    this.#snooze = snooze
  }

  /**
   * For the menu of an entry: words, and what is done when they are chosen. `away(as, back, words, send, sendBack)` takes
   * the entry off the list as a mark does, which `back` undoes; what is sent in place of both is `send` and `sendBack`.
   */
  choices ({ id, marks: { read: isRead } }, away) {
    return Object.entries(snoozeTimes()).map(([name, date]) => [this.#words(name, date), () => away(
      'archived',
      isRead ? 'unarchived' : 'unread',
      textOf(this.#host, 'snoozed').replace('{when}', () => moment(date, langOf(this.#host))),
      () => this.#until(id, date),
      client => this.#back(client, id, isRead)
    )])
  }

  #words (name, date) {
    const lang = langOf(this.#host)
    return element('span', { class: 'time' }, `${textOf(this.#host, `snooze-${name}`)} `, element('small', {}, moment(date, lang)))
  }

  async #until (id, date) {
    try {
      return await this.#snooze.until(id, date)
    } catch (error) {
      if (error.code === 'invalid') this.isAble = false
      throw error
    }
  }

  /** It comes back unseen, and is read again where it was. */
  async #back (client, id, isRead) {
    await this.#snooze.back(id)
    for (let tries = 0; isRead && tries < TRIES; tries++) {
      const { changed } = await client.mark({ as: 'read', ids: [id] })
      if (changed) return
      await counted(client)
    }
  }
}

/** The time of day; with the weekday where that is not today, and with the date where it is not within a week. */
export function moment (date, lang, now = new Date()) {
  const time = { hour: 'numeric', minute: '2-digit' }
  if (date.toDateString() === now.toDateString()) return date.toLocaleTimeString(lang, time)
  const day = date - now < 6 * DAY_MS ? {} : { day: 'numeric', month: 'short' }
  return date.toLocaleString(lang, { weekday: 'short', ...day, ...time })
}

/** The client is told another number, or some time has passed. */
function counted (client) {
  return new Promise(resolve => {
    const heard = new AbortController()
    const done = () => {
      heard.abort()
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(done, RETURNS_IN)
    for (const name of ['count', 'counts']) client.addEventListener(name, done, heard)
  })
}

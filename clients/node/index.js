// The application's side of PNS, on Node's own fetch: ids, repeats and errors as clients/conformance says.

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'

const TRIES = 5
const LONGEST_WAIT = 30
const IN_A_BODY = 1000
const REPEATED = new Set([429, 502, 503, 504])
const TOLERANCE_SECONDS = 300

/** PNS refused. Nothing was stored, except perhaps with Unreachable and InternalError. `name` is the code's class, such as "Invalid". */
export class Problem extends Error {
  constructor (status, code, title, detail, errors = []) {
    super(detail || title)
    this.name = new.target.name
    Object.assign(this, { status, code, title, detail, errors })
  }
}

/** No answer after all tries, or a proxy's. What was asked may have been done: ask again with the same ids. */
export class Unreachable extends Problem {}
export class BadJSON extends Problem {}
export class Unauthorized extends Problem {}
export class NotFound extends Problem {}
export class NotificationIdConflict extends Problem {}
export class PublicationConflict extends Problem {}
export class CategoryRequired extends Problem {}
export class TooLarge extends Problem {}
export class Invalid extends Problem {}
export class NotificationNotKept extends Problem {}
export class UnknownCategory extends Problem {}
export class RateLimited extends Problem {}
export class StoreUnavailable extends Problem {}
export class Overloaded extends Problem {}
export class Draining extends Problem {}
export class InternalError extends Problem {}

const CLASSES = {
  unreachable: Unreachable,
  bad_json: BadJSON,
  unauthorized: Unauthorized,
  not_found: NotFound,
  notification_id_conflict: NotificationIdConflict,
  publication_id_conflict: PublicationConflict,
  category_required: CategoryRequired,
  too_large: TooLarge,
  invalid: Invalid,
  unknown_notification: NotificationNotKept,
  unknown_category: UnknownCategory,
  rate_limited: RateLimited,
  store_unavailable: StoreUnavailable,
  overloaded: Overloaded,
  draining: Draining,
  internal_error: InternalError
}

/** The webhook is not signed with this secret, or its time is not now. */
export class BadSignature extends Error {
  name = 'BadSignature'
}

/** PNS as the application sees it, at `url`, with an API key. Make one for a process. */
export class PNS {
  #url
  #key
  #timeout
  #firstWait

  constructor (url, { key, timeout = 10, firstWait = 0.2 }) {
    this.#url = url.replace(/\/+$/, '')
    this.#key = key
    this.#timeout = timeout
    this.#firstWait = firstWait
  }

  // ── notifications ───────────────────────────────────────────────────────────────────────────────

  async notify (userId, notifications) {
    const body = { user_id: userId, notifications: forTheWire(notifications) }
    return (await this.#ask('POST', '/notify', body)).notification_ids
  }

  async notifyUsers (users) {
    const ids = []
    for (const body of bodies(users)) ids.push(...(await this.#ask('POST', '/notify', body)).notification_ids)
    return ids
  }

  async withdraw (userId, notificationId, { member } = {}) {
    await this.#ask('DELETE', path('users', userId, 'notifications', notificationId), undefined, { member })
  }

  mark (userId, as, { notificationIds, collapseKey, category, all, upTo } = {}) {
    const named = { notification_ids: notificationIds, collapse_key: collapseKey, category, all, up_to: upTo }
    return this.#ask('POST', path('users', userId, 'marks'), { as, ...named })
  }

  async * notifications (userId, { category, unread, archived, pending } = {}) {
    for (let after = ''; after !== undefined;) {
      const query = { category, unread, archived, pending, after }
      const page = (await this.#ask('GET', path('users', userId, 'notifications'), undefined, query)).notifications
      yield * page
      after = page.at(-1)?.notification_id
    }
  }

  // ── users ───────────────────────────────────────────────────────────────────────────────────────

  user (userId, { counts } = {}) {
    return this.#ask('GET', path('users', userId), undefined, { counts })
  }

  async erase (userId) {
    await this.#ask('DELETE', path('users', userId))
  }

  async disconnect (userId, { deviceId } = {}) {
    await this.#ask('DELETE', path('users', userId, 'connections'), undefined, { device_id: deviceId })
  }

  async devices (userId) {
    return (await this.#ask('GET', path('users', userId, 'devices'))).devices
  }

  async removeDevice (userId, deviceId) {
    await this.#ask('DELETE', path('users', userId, 'devices', deviceId))
  }

  async timeline (userId, { before = '', limit } = {}) {
    return (await this.#ask('GET', path('users', userId, 'timeline'), undefined, { before, limit })).timeline
  }

  // ── preferences ─────────────────────────────────────────────────────────────────────────────────

  async categories () {
    return (await this.#ask('GET', '/categories')).categories
  }

  async declareCategory (category, title, { description, defaults, required } = {}) {
    await this.#ask('PUT', path('categories', category), { title, description, defaults, required })
  }

  async removeCategory (category) {
    await this.#ask('DELETE', path('categories', category))
  }

  async preferences (userId) {
    return (await this.#ask('GET', path('users', userId, 'preferences'))).preferences
  }

  async setPreferences (userId, preferences) {
    return (await this.#ask('PATCH', path('users', userId, 'preferences'), { preferences })).preferences
  }

  // ── topics, buckets, publications ───────────────────────────────────────────────────────────────

  async makeTopic (topic) {
    await this.#ask('PUT', path('topics', topic))
  }

  async removeTopic (topic) {
    await this.#ask('DELETE', path('topics', topic))
  }

  async removeBucket (bucket) {
    await this.#ask('DELETE', path('buckets', bucket))
  }

  async subscribeToTopic (topic, userId) {
    await this.#ask('PUT', path('topics', topic, 'subscribers', userId))
  }

  async unsubscribeFromTopic (topic, userId) {
    await this.#ask('DELETE', path('topics', topic, 'subscribers', userId))
  }

  async subscribeToBucket (bucket, userId) {
    await this.#ask('PUT', path('buckets', bucket, 'subscribers', userId))
  }

  async unsubscribeFromBucket (bucket, userId) {
    await this.#ask('DELETE', path('buckets', bucket, 'subscribers', userId))
  }

  subscriptions (userId) {
    return this.#ask('GET', path('users', userId, 'subscriptions'))
  }

  notifyTopic (topic, notifications, { publicationId, sender } = {}) {
    const body = { notifications: forTheWire(notifications), publication_id: publicationId, sender }
    return this.#publish(path('topics', topic, 'notify'), body)
  }

  bucketChanged (bucket, type, { objectId, notificationData, sender, collapse, push, publicationId } = {}) {
    const body = { type, object_id: objectId, notification_data: notificationData, sender, collapse, push }
    return this.#publish(path('buckets', bucket, 'changed'), { ...body, publication_id: publicationId })
  }

  broadcast (notifications, { publicationId, sender, seenWithinDays } = {}) {
    const body = { notifications: forTheWire(notifications), sender, seen_within_days: seenWithinDays }
    return this.#publish('/broadcast', { ...body, publication_id: publicationId })
  }

  publication (publicationId) {
    return this.#ask('GET', path('publications', publicationId))
  }

  async publications ({ before, limit } = {}) {
    return (await this.#ask('GET', '/publications', undefined, { before, limit })).publications
  }

  async takeBack (publicationId) {
    await this.#ask('DELETE', path('publications', publicationId))
  }

  // ── the line ────────────────────────────────────────────────────────────────────────────────────

  #publish (path, body) {
    return this.#ask('POST', path, { ...body, publication_id: body.publication_id ?? newId() })
  }

  /** The JSON of the answer, after as many tries as it takes; each has the same body. */
  async #ask (method, path, body, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined)
    const asked = given.length ? `?${new URLSearchParams(given)}` : ''
    const content = body === undefined ? undefined : JSON.stringify(body)
    for (let tries = 1; ; tries++) {
      const answer = await this.#try(method, `${this.#url}${path}${asked}`, content)
      const wait = waitAfter(tries, this.#firstWait, answer)
      if (wait === undefined) return checked(answer)
      await new Promise((resolve) => setTimeout(resolve, wait * 1000))
    }
  }

  /** An answer, or the reason why there is none. */
  async #try (method, url, body) {
    const headers = { authorization: `Bearer ${this.#key}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    try {
      const signal = AbortSignal.timeout(this.#timeout * 1000)
      const got = await fetch(url, { method, headers, body, signal, redirect: 'manual' })
      const data = json(await got.text())
      if (got.ok && data === undefined) return { status: 0, reason: "a success whose body is no JSON: not PNS's" }
      return { status: got.status, retryAfter: seconds(got.headers.get('retry-after')), data }
    } catch (error) {
      return { status: 0, reason: error.cause?.message ?? error.message }
    }
  }
}

/** The event of a webhook: `type`, `timestamp` and `data`. Throws BadSignature. `body`: the text as it came. */
export function verifyWebhook (secret, headers, body, { now = Date.now() / 1000 } = {}) {
  const field = (name) => (typeof headers.get === 'function' ? headers.get(name) : headers[name]) ?? ''
  const [id, at] = [field('webhook-id'), field('webhook-timestamp')]
  if (!id || !/^\d+$/.test(at)) throw new BadSignature('webhook-id or webhook-timestamp is missing')
  if (!(Math.abs(now - Number(at)) <= TOLERANCE_SECONDS)) {
    throw new BadSignature('webhook-timestamp is more than five minutes from now')
  }
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const expected = createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest()
  const fits = field('webhook-signature').split(' ').map((one) => same(one, expected))
  if (!fits.includes(true)) throw new BadSignature('no signature in webhook-signature fits')
  return JSON.parse(body)
}

function same (signature, expected) {
  const found = Buffer.from(signature.replace(/^v1,/, ''), 'base64')
  return signature.startsWith('v1,') && found.length === expected.length && timingSafeEqual(found, expected)
}

/** The path of these segments, each percent-encoded whole. */
function path (...segments) {
  return segments.map((segment) => `/${encodeURIComponent(segment)}`).join('')
}

function newId () {
  return randomUUID().replaceAll('-', '')
}

/** One notification or several, for the wire, each with an id. */
function forTheWire (notifications) {
  return (Array.isArray(notifications) ? notifications : [notifications]).map((one) => ({
    notification_id: newId(),
    ...(typeof one === 'object' && 'notification_data' in one ? defined(one) : { notification_data: one })
  }))
}

function defined (members) {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined))
}

/** The bodies of a notify to many users: in order, none with more than 1,000 notifications. */
function * bodies (users) {
  let body = []
  let left = IN_A_BODY
  for (const { userId, notifications } of users) {
    const waiting = forTheWire(notifications)
    while (waiting.length) {
      const part = waiting.splice(0, left)
      body.push({ user_id: userId, notifications: part })
      left -= part.length
      if (left) continue
      yield body
      body = []
      left = IN_A_BODY
    }
  }
  if (body.length) yield body
}

/** Seconds before the next try; undefined: no other try. */
function waitAfter (tries, firstWait, { status, retryAfter }) {
  if (tries >= TRIES || (status && !REPEATED.has(status))) return undefined
  if (retryAfter !== undefined) return retryAfter <= LONGEST_WAIT ? retryAfter : undefined
  return firstWait * 2 ** (tries - 1) * (1 + Math.random() / 2)
}

/** The JSON of a good answer. Throws Problem. */
function checked ({ status, data, reason }) {
  if (status >= 200 && status < 300) return data
  if (!status) throw new Unreachable(0, 'unreachable', 'Unreachable', `PNS gave no answer: ${reason}`)
  if (typeof data?.code !== 'string') {
    throw new Unreachable(status, 'unreachable', 'Unreachable', `A proxy answered ${status}.`)
  }
  const Kind = CLASSES[data.code] ?? Problem
  throw new Kind(status, data.code, data.title, data.detail, data.errors)
}

function seconds (text) {
  return /^\d+$/.test(text ?? '') ? Number(text) : undefined
}

function json (text) {
  try {
    return text ? JSON.parse(text) : null
  } catch {
    return undefined
  }
}

// The driver of the conformance cases for this client: see ../conformance/README.md.

import { createInterface } from 'node:readline'
import { BadSignature, PNS, Problem, verifyWebhook } from './index.js'

const client = new PNS(process.env.PNS_URL, { key: process.env.PNS_KEY, firstWait: 0.01 })

/** The members that stand by themselves in each method; all others are options. */
const ALONE = {
  notify: ['user_id', 'notifications'],
  withdraw: ['user_id', 'notification_id'],
  mark: ['user_id', 'as'],
  removeDevice: ['user_id', 'device_id'],
  declareCategory: ['category', 'title'],
  removeCategory: ['category'],
  setPreferences: ['user_id', 'preferences'],
  makeTopic: ['topic'],
  removeTopic: ['topic'],
  removeBucket: ['bucket'],
  subscribeToTopic: ['topic', 'user_id'],
  unsubscribeFromTopic: ['topic', 'user_id'],
  subscribeToBucket: ['bucket', 'user_id'],
  unsubscribeFromBucket: ['bucket', 'user_id'],
  notifyTopic: ['topic', 'notifications'],
  bucketChanged: ['bucket', 'type'],
  broadcast: ['notifications'],
  publication: ['publication_id'],
  takeBack: ['publication_id'],
  categories: [],
  publications: []
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())

async function call (name, members) {
  if (name === 'verify_webhook') {
    return verifyWebhook(members.secret, members.headers, members.body, { now: members.now })
  }
  if (name === 'notify_users') {
    return client.notifyUsers(members.users.map(({ user_id: userId, notifications }) => ({ userId, notifications })))
  }
  const method = camel(name)
  const alone = ALONE[method] ?? ['user_id']
  const options = Object.fromEntries(
    Object.entries(members).filter(([key]) => !alone.includes(key)).map(([key, value]) => [camel(key), value])
  )
  const result = client[method](...alone.map((key) => members[key]), options)
  if (!(Symbol.asyncIterator in result)) return (await result) ?? null
  const items = []
  for await (const item of result) items.push(item)
  return items
}

async function answer (asked) {
  try {
    return { returns: await call(asked.call, asked.with) }
  } catch (error) {
    if (error instanceof BadSignature) return { raises: { status: 0, code: 'bad_signature' } }
    if (!(error instanceof Problem)) throw error
    const { status, errors } = error
    const code = error.constructor === Problem ? 'of no class' : error.code
    return { raises: { status, code, at: errors.map(({ at }) => at) } }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
}

// The title of several notifications that came as one: "Ann, Bob and 3 others like your picture". The application
// says how, in `group_title`; names and numbers are those of the page's language.

import { saidIn } from '../bell-item.js'

const NAMES = 3 // at most
const BEFORE_OTHERS = 2 // names, where the title goes on with the others
const LONGEST = 80 // characters of a name that are shown

/**
 * The title as pieces of text, each `{ text, name }`, with `name` true for what somebody calls themselves; null where
 * the title of its own is to be shown. `others(n, more)` words a number of others.
 */
export function groupTitle ({ notification_data: data, group }, lang, others) {
  const { group_title: title } = saidIn(data)
  const members = Math.floor(group?.members)
  if (typeof title !== 'string' || !title.trim() || !(members > 1)) return null
  const names = namesOf(group.latest)
  const rest = title.includes('{others}')
  const shown = title.includes('{names}') ? names.slice(0, rest ? Math.min(BEFORE_OTHERS, members - 1) : NAMES) : []
  if (title.includes('{names}') && !shown.length) return null
  const word = n => ({ text: others(n, Boolean(group.more)), name: false })
  const fill = {
    '{names}': () => listed(shown, rest ? null : members > shown.length && word(members - shown.length).text, lang),
    '{others}': () => [word(members - shown.length)]
  }
  return title.split(/(\{names\}|\{others\})/).flatMap(text => fill[text]?.() ?? (text ? [{ text, name: false }] : []))
}

function namesOf (latest) {
  if (!Array.isArray(latest)) return []
  const names = latest.map(each => typeof each?.data === 'string' ? saidIn(each.data).name : '')
  return names.filter(name => typeof name === 'string' && name.trim()).map(name => name.trim().slice(0, LONGEST))
}

/** `names` as a list; with `last` behind them, or without a last one where the title goes on with the others. */
function listed (names, last, lang) {
  const format = new Intl.ListFormat(lang, { type: 'conjunction' })
  const named = names.map(text => ({ text, name: true }))
  if (last === null) {
    const [, between] = format.formatToParts([...'abcd'])
    return named.flatMap((name, at) => at ? [{ text: between.value, name: false }, name] : [name])
  }
  let elements = 0
  return format.formatToParts(last ? [...names, last] : names)
    .map(({ type, value }) => ({ text: value, name: type === 'element' && elements++ < names.length }))
}

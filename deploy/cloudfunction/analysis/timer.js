'use strict'

// Role 2: run by the timer trigger. Stores the responses of all reports in the cloud database, where the HTTP access
// service reads them. The newest period of each report is fetched in every run, because WeChat may revise it; earlier
// ones only while they are missing, and cohorts while they lack a key that should be known. Every response is saved at
// once, so a run that exceeds its time limit loses nothing and the next one continues.

const cloud = require('wx-server-sdk')
const { APIS } = require('./apis')
const { errorData } = require('./errors')
const { daysSince, finishedPeriods } = require('./periods')
const { entriesOf, lastKey, rowId, saveContent, storedKeys } = require('./rows')

const BUSY = new Set([-1, 61504])
/**
 * Codes that concern one period, so that another may be available. 61501 is among them because the requested periods
 * are always valid: WeChat has returned it for a month that was over but not published.
 */
const UNAVAILABLE = new Set([...BUSY, 61501, 61503])
/**
 * An earlier period without data so many days after its end gets none: the app is younger, or WeChat does not go back
 * so far. Without this limit a new app would cost dozens of calls in every run.
 */
const SETTLED_DAYS = 7

/** The stored part of a response; null if it has no data. */
function contentOf(form, { errCode: _, errMsg: __, ...response }) {
  if (form === 'row') return response.list[0] || null
  if (form === 'distribution') return response.list.length ? response : null
  // WeChat has returned cohorts of zeros for weeks with visitors.
  return entriesOf(response).some(({ value }) => value > 0) ? response : null
}

/** Fetch one period. Return {content}; if it is unavailable, {content: null} and the error, if there was one. */
async function fetchContent(api, dates) {
  try {
    return { content: contentOf(APIS.get(api).form, await cloud.openapi.analysis[api](dates)) }
  } catch (thrown) {
    const error = errorData(thrown)
    if (!UNAVAILABLE.has(error.errCode)) throw thrown
    return { content: null, error }
  }
}

/**
 * The periods of a report, newest first: {dates, key, days}. `key` is the last key that its response should have, 0
 * without cohorts; `days` is the number of days since that key became known.
 */
function wantedPeriods(api, now) {
  const { period, stored, later = 0 } = APIS.get(api)
  const skipped = later ? 1 : 0
  return finishedPeriods(period, now, skipped + stored)
    .slice(skipped)
    .map((dates, place) => {
      const key = Math.min(later, place + 1)
      return { dates, key, days: daysSince(dates.endDate, now) - 7 * key }
    })
}

/** Store the missing periods of one report. Return the ids of what was saved, and an error if there was one. */
async function storeReport(api, now) {
  const periods = wantedPeriods(api, now)
  const saved = []
  let firstError = null
  try {
    const known = await storedKeys(periods.map(({ dates }) => rowId(api, dates.beginDate)))
    for (const [place, { dates, key, days }] of periods.entries()) {
      const _id = rowId(api, dates.beginDate)
      const isSettled = place > 0 && days > SETTLED_DAYS
      if (place > 0 && known.has(_id) && (known.get(_id) >= key || isSettled)) continue
      const { content, error } = await fetchContent(api, dates)
      const hasNone = isSettled && !(error && BUSY.has(error.errCode))
      // A cohort never loses a key that it had: a shorter response is an error of WeChat.
      const isShorter = content && known.has(_id) && lastKey(content) < known.get(_id)
      if ((content && !isShorter) || (hasNone && !content)) await saveContent(_id, content)
      if (content && !isShorter) saved.push(_id)
      if (!hasNone) firstError = firstError || error || null
    }
  } catch (thrown) {
    return { saved, ...errorData(thrown) }
  }
  return { saved, ...firstError }
}

/**
 * Store the missing periods of every report. The result is for the log of the cloud environment. An error such as a
 * spent quota ends the run of its own report only, because WeChat counts the calls of each API separately.
 */
async function storeReports(now) {
  const result = {}
  for (const api of APIS.keys()) result[api] = await storeReport(api, now)
  return result
}

module.exports = { storeReports }

'use strict'

// Role 2: run by the timer trigger. Stores the rows of the trend reports in the cloud database, where the HTTP access
// service reads them. The newest period of each report is fetched in every run, because WeChat may revise it; earlier
// ones only while they are missing. Every row is saved at once, so a run that exceeds its time limit loses nothing and
// the next one continues.

const cloud = require('wx-server-sdk')
const { APIS, STORED } = require('./apis')
const { errorData } = require('./errors')
const { daysSince, finishedPeriods } = require('./periods')
const { rowId, saveRow, storedIds } = require('./rows')

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

/** Fetch one period. Return {row}, or {row: null} with the error, if there was one, when the period is unavailable. */
async function fetchRow(api, dates) {
  try {
    const { list } = await cloud.openapi.analysis[api](dates)
    return { row: list[0] || null }
  } catch (thrown) {
    const error = errorData(thrown)
    if (!UNAVAILABLE.has(error.errCode)) throw thrown
    return { row: null, error }
  }
}

/** Store the missing periods of one report. Return the ids of the saved rows, and an error if there was one. */
async function storeTrend(api, now) {
  const { period, stored } = APIS.get(api)
  const periods = finishedPeriods(period, now, stored)
  const saved = []
  let firstError = null
  try {
    const known = await storedIds(periods.map(({ beginDate }) => rowId(api, beginDate)))
    for (const dates of periods) {
      const newest = dates === periods[0]
      const _id = rowId(api, dates.beginDate)
      if (!newest && known.has(_id)) continue
      const { row, error } = await fetchRow(api, dates)
      const settled = !newest && daysSince(dates.endDate, now) > SETTLED_DAYS && !(error && BUSY.has(error.errCode))
      if (row || settled) await saveRow(_id, row)
      if (row) saved.push(_id)
      if (!settled) firstError = firstError || error || null
    }
  } catch (thrown) {
    return { saved, ...errorData(thrown) }
  }
  return { saved, ...firstError }
}

/**
 * Store the missing periods of every trend report. The result is for the log of the cloud environment. An error such as
 * a spent quota ends the run of its own report only, because WeChat counts the calls of each API separately.
 */
async function storeTrends(now) {
  const result = {}
  for (const api of STORED) result[api] = await storeTrend(api, now)
  return result
}

module.exports = { storeTrends }

'use strict'

// The APIs that this function may call, and the check of a request for one of them. config.json lists the same names as
// permissions.

const { FUNCTION_FAILED } = require('./errors')
const { periodError } = require('./periods')

/**
 * Each API with the kind of its period and, for those that the timer stores, the number of periods to store. These are
 * the newest period and the earlier ones with which the exporter compares it: eight weeks before (of days, before each
 * of the last seven), twelve months before. At most 100: the database returns no more rows to one query.
 */
const APIS = new Map([
  ['getWeeklyVisitTrend', { period: 'week', stored: 9 }],
  ['getDailyVisitTrend', { period: 'day', stored: 63 }],
  ['getMonthlyVisitTrend', { period: 'month', stored: 13 }],
  ['getWeeklyRetain', { period: 'week', stored: 0 }],
  ['getVisitDistribution', { period: 'day', stored: 0 }],
  ['getDailySummary', { period: 'day', stored: 0 }],
])

/** Exporters that know the weekly report only send no name. */
const DEFAULT_API = 'getWeeklyVisitTrend'

/** The names of the APIs whose rows the timer stores. */
const STORED = [...APIS.keys()].filter((api) => APIS.get(api).stored)

/** Read {api, beginDate, endDate}. Return {api, dates}, or {error} with the error as data. */
function parseRequest(event, now) {
  const { api = DEFAULT_API, beginDate, endDate } = event || {}
  if (!APIS.has(api)) {
    const errMsg = `unknown api: it must be one of ${[...APIS.keys()].join(', ')}`
    return { error: { errCode: FUNCTION_FAILED, errMsg } }
  }
  const dates = { beginDate, endDate }
  const error = periodError(APIS.get(api).period, dates, now)
  return error ? { error } : { api, dates }
}

module.exports = { APIS, STORED, parseRequest }

'use strict'

// The APIs that this function may call, and the check of a request for one of them. config.json lists the same names as
// permissions.

const { FUNCTION_FAILED } = require('./errors')
const { periodError } = require('./periods')

/**
 * Each API with the kind of its period, the number of periods that the timer stores, and the form of a response:
 *
 *   row           {list: [{refDate, ..}]}, one row
 *   distribution  {refDate, list: [{index, itemList}]}
 *   cohort        {refDate, visitUvNew: [{key, value}], visitUv: [..]}, which gains a key in each of the `later` weeks
 *
 * The periods are the newest one and the earlier ones with which the exporter compares it: eight weeks before (of days,
 * before each of the last seven), twelve months before. The newest cohort is one week older than the newest week: until
 * then it has no later key. At most 100 periods: the database returns no more rows to one query.
 */
const APIS = new Map([
  ['getWeeklyVisitTrend', { period: 'week', stored: 9, form: 'row' }],
  ['getDailyVisitTrend', { period: 'day', stored: 63, form: 'row' }],
  ['getMonthlyVisitTrend', { period: 'month', stored: 13, form: 'row' }],
  ['getWeeklyRetain', { period: 'week', stored: 9, form: 'cohort', later: 4 }],
  ['getVisitDistribution', { period: 'day', stored: 63, form: 'distribution' }],
  ['getDailySummary', { period: 'day', stored: 63, form: 'row' }],
])

/** Exporters that know the weekly report only send no name. */
const DEFAULT_API = 'getWeeklyVisitTrend'

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

module.exports = { APIS, parseRequest }

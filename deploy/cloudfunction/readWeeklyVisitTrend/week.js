'use strict'

// WeChat's weeks: Monday to Sunday in Beijing days, fixed UTC+8. Each function is uploaded with a copy of its own of
// this file.

const DAY = 24 * 3600 * 1000
const BEIJING = 8 * 3600 * 1000

/** A Beijing midnight, in milliseconds, as WeChat writes the day: 20261116. */
function written(midnight) {
  return new Date(midnight + BEIJING).toISOString().slice(0, 10).replace(/-/g, '')
}

/** The Beijing midnight at which a day of the form 20261116 begins; NaN if there is no such day. */
function midnight(day) {
  const parts = /^(\d{4})(\d{2})(\d{2})$/.exec(day)
  const begin = parts ? Date.UTC(+parts[1], +parts[2] - 1, +parts[3]) - BEIJING : NaN
  return !Number.isNaN(begin) && written(begin) === day ? begin : NaN
}

/** The Beijing midnight at which the running week began: a Monday. 1970 began on a Thursday. */
function monday(now) {
  const today = Math.floor((now + BEIJING) / DAY)
  return (today - ((today + 3) % 7)) * DAY - BEIJING
}

/** The week that ended so many weeks before the running one began, as a Cloud Call takes it; 1 is the newest. */
function finishedWeek(now, weeksAgo) {
  const begin = monday(now) - 7 * DAY * weeksAgo
  return { beginDate: written(begin), endDate: written(begin + 6 * DAY) }
}

/** What is wrong with a week that is asked for, in WeChat's codes; null if it is the Monday and Sunday of one that is over. */
function mistake({ beginDate, endDate }, now) {
  const [begin, end] = [midnight(beginDate), midnight(endDate)]
  if (Number.isNaN(begin) || Number.isNaN(end)) {
    return { errCode: 61500, errMsg: 'date format error: beginDate and endDate are days such as 20261116' }
  }
  if (monday(begin) !== begin || end !== begin + 6 * DAY || begin >= monday(now)) {
    return { errCode: 61501, errMsg: 'date range error: the Monday and the Sunday of one week that is over' }
  }
  return null
}

/** A cloud code: the function failed. An error without a code of WeChat's must not look like WeChat being busy (-1). */
const FUNCTION_FAILED = -504002

/** An error as data: what the SDK threw, and nothing of where. */
function asData(error) {
  const errCode = Number(error && error.errCode) || FUNCTION_FAILED
  return { errCode, errMsg: String((error && (error.errMsg || error.message)) || error) }
}

module.exports = { asData, finishedWeek, mistake }

'use strict'

// WeChat's calendar: days, weeks from Monday to Sunday, and months, in Beijing days (UTC+8 all year). A day is counted
// in days since 1970-01-01, so that the calendar does not depend on the time zone of the machine.

const DAY = 24 * 3600 * 1000
const BEIJING = 8 * 3600 * 1000

/** The first day of the month that is a number of months after the month of this day. */
function monthStart(day, months) {
  const date = new Date(day * DAY)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months, 1) / DAY
}

/** For each kind of period: its first day, the first day of the next one, and what a request must name. */
const KINDS = {
  day: {
    first: (day) => day,
    next: (day) => day + 1,
    name: 'beginDate and endDate must both be the same day, and it must be over',
  },
  week: {
    first: (day) => day - ((day + 3) % 7), // 1970-01-01 was a Thursday
    next: (day) => day - ((day + 3) % 7) + 7,
    name: 'beginDate and endDate must be the Monday and the Sunday of one week that is over',
  },
  month: {
    first: (day) => monthStart(day, 0),
    next: (day) => monthStart(day, 1),
    name: 'beginDate and endDate must be the first and the last day of one month that is over',
  },
}

/** The current day in Beijing. */
function today(now) {
  return Math.floor((now + BEIJING) / DAY)
}

/** A day as WeChat writes it: 20261116. */
function format(day) {
  return new Date(day * DAY).toISOString().slice(0, 10).replace(/-/g, '')
}

/** Read a day of the form 20261116; NaN if there is no such day. */
function parse(text) {
  const parts = /^(\d{4})(\d{2})(\d{2})$/.exec(text)
  const day = parts ? Date.UTC(+parts[1], +parts[2] - 1, +parts[3]) / DAY : NaN
  // Date.UTC converts 31 November to 1 December. The comparison also refuses numbers and arrays, which exec() converts.
  return !Number.isNaN(day) && format(day) === text ? day : NaN
}

/** The newest finished periods of a kind, newest first, as a Cloud Call takes them. */
function finishedPeriods(kind, now, count) {
  const { first } = KINDS[kind]
  const periods = []
  let next = first(today(now))
  while (periods.length < count) {
    const begin = first(next - 1)
    periods.push({ beginDate: format(begin), endDate: format(next - 1) })
    next = begin
  }
  return periods
}

/** Return what is wrong with a requested period, in WeChat's codes; null if it is exactly one finished period. */
function periodError(kind, { beginDate, endDate }, now) {
  const [begin, end] = [parse(beginDate), parse(endDate)]
  if (Number.isNaN(begin) || Number.isNaN(end)) {
    return { errCode: 61500, errMsg: 'date format error: beginDate and endDate must be days such as 20261116' }
  }
  const { first, next, name } = KINDS[kind]
  if (first(begin) !== begin || end !== next(begin) - 1 || next(begin) > today(now)) {
    return { errCode: 61501, errMsg: `date range error: ${name}` }
  }
  return null
}

/** The number of days from a day of the form 20261116 until now. */
function daysSince(text, now) {
  return today(now) - parse(text)
}

module.exports = { daysSince, finishedPeriods, periodError }

'use strict'

// The collection of the cloud database through which the timer and the HTTP access service share rows. An _id is the
// API and the first day: getWeeklyVisitTrend-20261116.

const cloud = require('wx-server-sdk')

const COLLECTION = 'analysis'

/** Stored in place of a row for a period without data, so that it is not requested again. */
const NO_DATA = { noData: true }

function collection() {
  return cloud.database().collection(COLLECTION)
}

function rowId(api, beginDate) {
  return `${api}-${beginDate}`
}

/** Return those of at most 100 ids that are stored. It is one query, because queries count against the cloud's plan. */
async function storedIds(ids) {
  const query = { _id: cloud.database().command.in(ids) }
  const { data } = await collection().where(query).field({ _id: true }).limit(100).get()
  return new Set(data.map(({ _id }) => _id))
}

async function saveRow(_id, row) {
  await collection().doc(_id).set({ data: row || NO_DATA })
}

/** Return the stored row in a list, as WeChat does; the list is empty if there is none. */
async function loadRows(_id) {
  const { data } = await collection().where({ _id }).get()
  return data.filter(({ noData }) => !noData).map(({ _id: _, ...row }) => row)
}

module.exports = { loadRows, rowId, saveRow, storedIds }

'use strict'

// The collection of the cloud database through which the timer and the HTTP access service share responses. An _id is
// the API and the first day: getWeeklyVisitTrend-20261116.

const cloud = require('wx-server-sdk')

const COLLECTION = 'analysis'

/** Stored in place of a response for a period without data, so that it is not requested again. */
const NO_DATA = { noData: true }

function collection() {
  return cloud.database().collection(COLLECTION)
}

function rowId(api, beginDate) {
  return `${api}-${beginDate}`
}

/**
 * Return those of at most 100 ids that are stored, each with its last key: that of a cohort, 0 of any other response.
 * It is one query, because queries count against the cloud's plan.
 */
async function storedKeys(ids) {
  const query = { _id: cloud.database().command.in(ids) }
  const { data } = await collection().where(query).field({ _id: true, visitUv: true, visitUvNew: true }).limit(100).get()
  return new Map(data.map(({ _id, ...content }) => [_id, lastKey(content)]))
}

/** The keys and values of a cohort. In a row, visitUv and visitUvNew are numbers. */
function entriesOf({ visitUv, visitUvNew }) {
  return [].concat(...[visitUv, visitUvNew].filter(Array.isArray))
}

/**
 * The last key that both figures of a cohort have, which is a number of weeks; 0 of any other response. A figure without
 * people will never have more keys, so it does not count.
 */
function lastKey({ visitUv, visitUvNew }) {
  const figures = [visitUv, visitUvNew].filter((each) => Array.isArray(each) && each.some(({ value }) => value > 0))
  const last = figures.map((each) => Math.max(...each.map(({ key }) => key)))
  return last.length ? Math.min(...last) : 0
}

async function saveContent(_id, content) {
  await collection().doc(_id).set({ data: content || NO_DATA })
}

/** Return what is stored in the form of WeChat's response; an empty list if there is nothing. */
async function loadContent(form, _id) {
  const { data } = await collection().where({ _id }).get()
  const [content] = data.filter(({ noData }) => !noData).map(({ _id: _, ...content }) => content)
  if (form === 'row' || !content) return { list: content ? [content] : [] }
  return content
}

module.exports = { entriesOf, lastKey, loadContent, rowId, saveContent, storedKeys }

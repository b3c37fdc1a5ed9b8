'use strict'

// Role 1: called through the API. {api, beginDate, endDate} in, WeChat's response or an error out.

const cloud = require('wx-server-sdk')
const { parseRequest } = require('./apis')
const { errorData } = require('./errors')

async function fetchReport(event, now) {
  const { api, dates, error } = parseRequest(event, now)
  if (error) return error
  try {
    // The SDK adds errCode 0. Without it, a code in the result is always an error.
    const { errCode: _, ...response } = await cloud.openapi.analysis[api](dates)
    return response
  } catch (thrown) {
    return errorData(thrown)
  }
}

module.exports = { fetchReport }

'use strict'

// Reads one week of visits for whoever calls this function through the API: {beginDate, endDate} in, rows or an error out.

const cloud = require('wx-server-sdk')
const { asData, mistake } = require('./week')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

async function answer(event, now) {
  if (/wx_client/.test(cloud.getWXContext().SOURCE)) return { errCode: -504002, errMsg: 'not for the Mini Program itself' }
  const { beginDate, endDate } = event || {}
  const wrong = mistake({ beginDate, endDate }, now)
  if (wrong) return wrong
  try {
    const { list, errMsg } = await cloud.openapi.analysis.getWeeklyVisitTrend({ beginDate, endDate })
    return { list, errMsg }
  } catch (error) {
    return asData(error)
  }
}

exports.answer = answer
exports.main = (event) => answer(event, Date.now())

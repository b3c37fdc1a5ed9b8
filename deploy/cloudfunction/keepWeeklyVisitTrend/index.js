'use strict'

// Run by a timer: keeps the weeks of visits in the cloud database, where readWeeklyVisitTrend finds them. The newest week
// is asked for at each run, for WeChat may revise it; older ones only while they are missing.

const cloud = require('wx-server-sdk')
const { asData, finishedWeek } = require('./week')

const COLLECTION = 'weekly_visit_trend'
const WEEKS = 8
const NOT_YET = new Set([-1, 61503, 61504]) // of one week; another may be there

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

async function keep(now) {
  if (/wx_client/.test(cloud.getWXContext().SOURCE)) return { errCode: -504002, errMsg: 'not for the Mini Program itself' }
  const rows = cloud.database().collection(COLLECTION)
  const kept = []
  let wrong = null
  for (let weeksAgo = 1; weeksAgo <= WEEKS; weeksAgo++) {
    const week = finishedWeek(now, weeksAgo)
    const _id = `${week.beginDate}-${week.endDate}`
    try {
      if (weeksAgo > 1 && (await rows.where({ _id }).get()).data.length) continue
      const { list } = await cloud.openapi.analysis.getWeeklyVisitTrend(week)
      if (!list.length) continue
      await rows.doc(_id).set({ data: list[0] })
      kept.push(_id)
    } catch (error) {
      const met = asData(error)
      if (!NOT_YET.has(met.errCode)) return { kept, ...met }
      wrong = wrong || met
    }
  }
  return { kept, ...wrong }
}

exports.keep = keep
exports.main = () => keep(Date.now())

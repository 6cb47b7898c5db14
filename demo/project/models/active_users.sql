---
title: { zh: 每日活跃员工, en: Active users by day }
description: { zh: 每人每天一行, en: One row a person and day }
refresh: { incremental: { key: [day, employee_id], since: day } }
checks:
  - unique: [day, employee_id]
---
select
  local_date(l.at) as day,
  l.employee_id,
  e.department,
  e.region,
  count(*) as actions,
  count(*) filter (where l.device = 'mobile') > 0 as on_mobile
from clean.access_log l
join mart.employees e on l.employee_id = e.id
where l.action <> 'login_failed'
  -- The time bound lets old files be skipped; the day decides.
  and ($since is null or l.at >= cast($since as timestamp) - interval '14 hours')
  and ($since is null or local_date(l.at) >= $since)
group by 1, 2, 3, 4

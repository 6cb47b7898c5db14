---
title: { zh: 每小时访问, en: Access by hour }
description: { zh: 各部门每小时的访问、查询、导出与登录, en: "Views, queries, exports and logins by hour and department" }
refresh: { incremental: { key: [at, department], since: at } }
checks:
  - unique: [at, department]
---
select
  date_trunc('hour', l.at) as at,
  e.department,
  e.region,
  count(distinct l.employee_id) as users,
  count(*) filter (where l.action = 'view') as views,
  count(*) filter (where l.action <> 'login_failed' and l.device = 'mobile') as mobile_actions,
  count(*) filter (where l.action <> 'login_failed') as actions,
  count(*) filter (where l.action = 'query') as queries,
  count(*) filter (where l.action = 'export') as exports,
  coalesce(sum(l.row_count) filter (where l.action = 'export'), 0) as exported_rows,
  count(*) filter (where l.action = 'login_failed') as failed_logins
from clean.access_log l
join mart.employees e on l.employee_id = e.id
where $since is null or l.at >= $since
group by 1, 2, 3

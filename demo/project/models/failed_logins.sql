---
title: { zh: 登录失败, en: Failed logins }
description: { zh: 近 30 天每人每 10 分钟登录失败三次以上, en: "Three or more failed logins of a person within ten minutes, last 30 days" }
---
select
  date_bin(interval '10 minutes', l.at, timestamp '2020-01-01T00:00:00') as at,
  e.employee,
  e.department,
  l.ip,
  count(*) as failures
from clean.access_log l
join mart.employees e on l.employee_id = e.id
where l.action = 'login_failed' and l.at >= now() - interval '30 days'
group by 1, 2, 3, 4
having count(*) >= 3

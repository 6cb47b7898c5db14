---
title: { zh: 夜间导出, en: Exports at night }
description: { zh: 近 30 天 22 点至次日 6 点每人导出的行数, en: "Rows exported between 22:00 and 06:00 by person and night, last 30 days" }
---
select
  local_date(l.at - interval '6 hours') as night,
  e.employee,
  e.department,
  count(*) as exports,
  sum(l.row_count) as exported_rows,
  max(l.at) as last_at
from clean.access_log l
join mart.employees e on l.employee_id = e.id
where l.action = 'export'
  and l.at >= now() - interval '30 days'
  and (local_hour(l.at) >= 22 or local_hour(l.at) < 6)
group by 1, 2, 3

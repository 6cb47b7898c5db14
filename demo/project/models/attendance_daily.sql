---
title: { zh: 每日出勤, en: Attendance by day }
description: { zh: 各部门每天应到、实到、迟到、缺勤与休假人数, en: "People expected, present, late, absent and on leave by department and day" }
refresh: { incremental: { key: [day, department], since: day } }
checks:
  - unique: [day, department]
---
select
  t.day,
  e.department,
  e.region,
  count(*) filter (where t.status <> 'leave') as expected,
  count(*) filter (where t.check_in is not null) as present,
  count(*) filter (where t.status = 'late') as late,
  count(*) filter (where t.status = 'absent') as absent,
  count(*) filter (where t.status = 'leave') as on_leave
from clean.attendance t
join mart.employees e on t.employee_id = e.id
where $since is null or t.day >= $since
group by 1, 2, 3

---
title: { zh: 待办任务, en: Open tasks }
description: { zh: 当前未办理的任务，附已等待时长与办理人是否休假, en: "Tasks waiting now, how long, and whether their assignee is away" }
columns:
  assignee: { zh: 办理人, en: Assignee }
  waited_hours: { zh: 已等待（工作小时）, en: Working hours waited }
checks:
  - unique: [id]
---
select
  t.id,
  t.process,
  t.department,
  t.node,
  t.assignee,
  t.received_at,
  working_hours(t.received_at, now()) as waited_hours,
  coalesce(e.leave_from <= local_date(now()) and e.leave_to >= local_date(now()), false) as on_leave,
  e.delegate_id is not null as has_delegate,
  e.leave_to
from mart.approval_tasks t
join mart.employees e on t.assignee_id = e.id
where t.finished_at is null

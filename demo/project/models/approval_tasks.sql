---
title: { zh: 审批任务, en: Approval tasks }
description: { zh: 每个节点每次办理一行，附等待与办理时长, en: "One row each time a step is handled, with waiting and handling time" }
columns:
  node: { zh: 节点, en: Step }
  assignee: { zh: 办理人, en: Assignee }
  wait_hours: { zh: 等待（工作小时）, en: Working hours waited }
  touch_minutes: { zh: 办理（分钟）, en: Minutes handled }
refresh: { incremental: { key: [id], since: updated_at } }
checks:
  - not_null: [id, process, node, assignee, received_at]
  - unique: [id]
---
select
  t.id,
  t.instance_id,
  a.process,
  a.department,
  a.region,
  t.node,
  t.assignee_id,
  e.employee as assignee,
  t.received_at,
  t.opened_at,
  t.finished_at,
  t.result,
  t.channel,
  working_hours(t.received_at, coalesce(t.opened_at, t.finished_at)) as wait_hours,
  date_part('epoch', t.finished_at - t.opened_at) / 60.0 as touch_minutes,
  t.updated_at
from clean.approval_tasks t
join mart.approvals a on t.instance_id = a.id
join mart.employees e on t.assignee_id = e.id
where $since is null or t.updated_at >= $since

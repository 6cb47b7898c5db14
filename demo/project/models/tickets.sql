---
title: { zh: 服务工单, en: Service tickets }
description: { zh: 工单现状与时长, en: "Tickets as they are now, with durations" }
refresh: { incremental: { key: [id], since: updated_at } }
checks:
  - not_null: [id, created_at, status]
  - unique: [id]
  - accepted: { column: status, values: [new, open, solved] }
---
select
  t.id,
  t.subject,
  t.category,
  t.priority,
  t.status,
  t.region,
  d.department,
  t.created_at,
  t.due_at,
  t.first_response_at,
  t.solved_at,
  t.solved_at <= t.due_at as in_time,
  date_part('epoch', t.first_response_at - t.created_at) / 60.0 as response_minutes,
  working_hours(t.created_at, t.solved_at) as working_hours,
  t.satisfaction,
  t.updated_at
from clean.tickets t
left join clean.departments d on d.id = t.department_id
where $since is null or t.updated_at >= $since

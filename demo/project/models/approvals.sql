---
title: { zh: 审批, en: Approvals }
description: { zh: 每张审批单一行，附时长与是否按时, en: "One row a document, with durations and whether it was on time" }
columns:
  process: { zh: 流程, en: Process }
  department: { zh: 部门, en: Department }
  starter: { zh: 发起人, en: Starter }
  cycle_hours: { zh: 历时（小时）, en: Hours elapsed }
  working_hours: { zh: 工作时长（小时）, en: Working hours }
refresh: { incremental: { key: [id], since: updated_at } }
checks:
  - not_null: [id, process, department, submitted_at]
  - unique: [id]
  - accepted: { column: status, values: [running, returned, approved, rejected, withdrawn] }
  - sql: { name: finished before submitted, query: "select id from this where finished_at < submitted_at" }
---
select
  a.id,
  a.number,
  a.process,
  a.subject,
  e.department,
  e.region,
  e.employee as starter,
  a.category,
  a.amount,
  a.vendor,
  a.invoice_no,
  a.status,
  a.node,
  a.returns,
  a.submitted_at,
  a.due_at,
  a.finished_at,
  date_part('epoch', a.finished_at - a.submitted_at) / 3600.0 as cycle_hours,
  working_hours(a.submitted_at, a.finished_at) as working_hours,
  a.finished_at <= a.due_at as on_time,
  a.updated_at
from clean.approvals a
join mart.employees e on a.starter_id = e.id
where $since is null or a.updated_at >= $since

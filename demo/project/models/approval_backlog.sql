---
title: { zh: 在途审批, en: Approval backlog }
description:
  zh: 各流程各部门在途与超时数量：近 40 天逐小时，更早每天 18 点
  en: "Open and overdue documents by process and department: hourly for 40 days back, before that daily at 18:00"
columns:
  at: { zh: 时点, en: At }
  open_count: { zh: 在途, en: Open }
  overdue_count: { zh: 超时, en: Overdue }
refresh: { incremental: { key: [at, process, department], since: at, lookback: 1h } }
checks:
  - unique: [at, process, department]
  - sql: { name: more closed than opened, query: "select at from this where open_count < 0 or overdue_count < 0" }
---
-- Every document counts +1 when submitted and -1 when finished (overdue: from its due time on). A
-- running sum over these changes, read at the points of a time grid, is the backlog.
with bounds as (
  select
    coalesce($since, date_trunc('day', min(submitted_at))) as lowest,
    date_trunc('hour', now()) as highest
  from mart.approvals
),
points as (
  select p.at from (
    select unnest(generate_series(lowest, highest, interval '1 hour')) as at from bounds
  ) p
  where p.at >= now() - interval '40 days' or date_part('hour', p.at) = 10
),
owners as (
  select distinct process, department, region from mart.approvals
),
changes as (
  select process, department, region, submitted_at as at, 1 as opened, 0 as late from mart.approvals
  union all
  select process, department, region, finished_at, -1, 0 from mart.approvals where finished_at is not null
  union all
  select process, department, region, due_at, 0, 1 from mart.approvals
  where due_at <= now() and (finished_at is null or finished_at > due_at)
  union all
  select process, department, region, finished_at, 0, -1 from mart.approvals where finished_at > due_at
),
-- What happened before the grid begins is one change at its beginning.
folded as (
  select
    process, department, region,
    case when $since is not null and at < $since then $since else at end as at,
    sum(opened) as opened, sum(late) as late, false as is_point
  from changes
  group by 1, 2, 3, 4
),
line as (
  select * from folded
  union all
  select o.process, o.department, o.region, p.at, 0, 0, true from points p cross join owners o
),
summed as (
  select
    at, process, department, region, is_point,
    sum(opened) over (partition by process, department order by at range between unbounded preceding and current row) as open_count,
    sum(late) over (partition by process, department order by at range between unbounded preceding and current row) as overdue_count
  from line
)
select at, process, department, region, cast(open_count as bigint) as open_count, cast(overdue_count as bigint) as overdue_count
from summed
where is_point

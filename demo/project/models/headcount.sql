---
title: { zh: 在职人数, en: Headcount }
description: { zh: 每月月初各部门在职人数, en: People employed at the start of each month }
checks:
  - unique: [month, department]
---
with months as (
  select unnest(generate_series(
    (select date_trunc('month', cast(min(day) as timestamp)) from mart.ledger),
    date_trunc('month', now()),
    interval '1 month')) as at
)
select
  cast(m.at as date) as month,
  e.department,
  e.region,
  count(*) as people
from months m
join mart.employees e
  on e.entry_date <= cast(m.at as date)
  and (e.left_date is null or e.left_date > cast(m.at as date))
group by 1, 2, 3

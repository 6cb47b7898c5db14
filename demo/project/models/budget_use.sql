---
title: { zh: 预算执行, en: Budget use }
description: { zh: 各部门每月预算与实际支出, en: Budget and spending by department and month }
columns: { budget: { zh: 预算, en: Budget }, spent: { zh: 支出, en: Spent } }
checks:
  - unique: [month, department]
---
with budgets as (
  select make_date(cast(year as int), 1, 1) as month, department, region, m01 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 2, 1) as month, department, region, m02 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 3, 1) as month, department, region, m03 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 4, 1) as month, department, region, m04 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 5, 1) as month, department, region, m05 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 6, 1) as month, department, region, m06 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 7, 1) as month, department, region, m07 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 8, 1) as month, department, region, m08 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 9, 1) as month, department, region, m09 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 10, 1) as month, department, region, m10 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 11, 1) as month, department, region, m11 as budget from clean.budgets
  union all
  select make_date(cast(year as int), 12, 1) as month, department, region, m12 as budget from clean.budgets
),
spent as (
  select cast(date_trunc('month', day) as date) as month, department, sum(amount) as spent
  from mart.ledger
  group by 1, 2
)
select
  b.month,
  b.department,
  b.region,
  b.budget,
  coalesce(s.spent, 0) as spent
from budgets b
left join spent s on s.month = b.month and s.department = b.department
-- Months from the first posting on, up to the present one.
where b.month >= (select min(month) from spent)
  and b.month <= local_date(now())

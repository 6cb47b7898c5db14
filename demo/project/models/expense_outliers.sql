---
title: { zh: 异常报销, en: Unusual expenses }
description:
  zh: 近 30 天报销金额偏离同类别中位数的程度（对数稳健 z 值，基准为近 180 天）
  en: "How far expenses of the last 30 days lie from the median of their category (robust z of the logarithm over 180 days)"
---
with claims as (
  select id, number, starter, department, category, submitted_at, amount, ln(cast(amount as double)) as size
  from mart.approvals
  where process = 'expense' and amount > 0 and submitted_at >= now() - interval '180 days'
),
middle as (
  select category, median(size) as centre, count(*) as n from claims group by category
),
spread as (
  select c.category, median(abs(c.size - m.centre)) as mad
  from claims c join middle m on c.category = m.category
  group by c.category
)
select
  c.id, c.number, c.starter, c.department, c.category, c.submitted_at, c.amount,
  exp(m.centre) as usual_amount,
  (c.size - m.centre) / (1.4826 * s.mad) as z
from claims c
join middle m on c.category = m.category
join spread s on c.category = s.category
where c.submitted_at >= now() - interval '30 days' and m.n >= 20 and s.mad > 0

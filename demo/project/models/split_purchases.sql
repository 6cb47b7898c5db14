---
title: { zh: 拆单采购, en: Split purchases }
description:
  zh: 同一人 7 天内向同一供应商多次采购，每次低于 1 万元、合计超过 1 万元
  en: "Purchases of one person from one vendor within 7 days, each below 10,000 yuan, together above"
---
with small as (
  select id, starter, department, vendor, amount, submitted_at
  from mart.approvals
  where process = 'purchase' and amount < 10000 and vendor is not null
    and status not in ('rejected', 'withdrawn')
    and submitted_at >= now() - interval '40 days'
)
select
  last.starter,
  last.department,
  last.vendor,
  last.submitted_at as last_at,
  count(*) as purchases,
  sum(other.amount) as amount
from small last
join small other
  on other.starter = last.starter and other.vendor = last.vendor
  and other.submitted_at <= last.submitted_at
  and other.submitted_at > last.submitted_at - interval '7 days'
group by 1, 2, 3, 4, last.id
having count(*) >= 3 and sum(other.amount) >= 10000

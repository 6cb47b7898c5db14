---
title: { zh: 重复发票, en: Duplicate invoices }
description: { zh: 近 180 天被多张单据使用的发票号, en: "Invoice numbers used by more than one document, last 180 days" }
checks:
  - unique: [invoice]
---
select
  invoice_no as invoice,
  count(*) as documents,
  min(submitted_at) as first_at,
  max(submitted_at) as last_at,
  sum(amount) as amount,
  last_value(starter order by submitted_at) as starter
from mart.approvals
where invoice_no is not null
  and status not in ('rejected', 'withdrawn')
  and submitted_at >= now() - interval '180 days'
group by invoice_no
having count(*) > 1

---
title: { zh: 费用明细, en: Ledger }
description: { zh: 总账费用凭证，带区域, en: "Expense postings of the ledger, with region" }
# Postings come hourly; some are made up for days later.
refresh: { incremental: { key: [voucher], since: posted_at, lookback: 3d } }
checks:
  - not_null: [voucher, day, department, amount]
  - unique: [voucher]
---
select
  l.voucher,
  l.posted_at,
  local_date(l.posted_at) as day,
  l.department,
  d.region,
  substr(l.account, 8) as account,
  l.partner,
  l.amount
from clean.ledger l
left join clean.departments d on d.department = l.department
where $since is null or l.posted_at >= $since

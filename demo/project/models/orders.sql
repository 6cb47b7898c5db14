---
title: { zh: 订单, en: Orders }
description: { zh: 清洗去重后的 CRM 订单, en: "CRM orders, cleaned, each once" }
columns: { amount: { zh: 金额, en: Amount }, product: { zh: 产品线, en: Product line } }
# Exports overlap by some hours; a day back is enough.
refresh: { incremental: { key: [number], since: updated_at, lookback: 1d } }
checks:
  - not_null: [number, ordered_at, region, amount]
  - unique: [number]
  - sql: { name: no negative amounts, query: "select number from this where amount < 0" }
---
select
  number,
  ordered_at,
  local_date(ordered_at) as day,
  region,
  product,
  customer,
  seller,
  quantity,
  amount,
  status,
  updated_at
from clean.orders
where $since is null or updated_at >= $since

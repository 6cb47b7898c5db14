---
title: { zh: 有效订单, en: Valid orders }
columns:
  id: { zh: 订单号, en: Order }
  ordered_on: { zh: 下单日期, en: Ordered on }
  region: { zh: 地区, en: Region }
  amount: { zh: 金额, en: Amount }
refresh: { full: {} }
checks:                        # all must hold before a new version is published
  - not_null: [id, ordered_on]
  - unique: [id]
  - sql: { name: no negative amounts, query: "select * from this where amount < 0" }
---
-- Fills mart.orders. The tables named here are the lineage.
select id, ordered_on, region, amount
from clean.orders
where status = 'paid'

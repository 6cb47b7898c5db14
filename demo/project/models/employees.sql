---
title: { zh: 员工, en: Employees }
description: { zh: 在职与离职员工，带部门、区域与休假情况, en: "People with department, region and leave" }
columns: { employee: { zh: 员工, en: Employee }, department: { zh: 部门, en: Department }, region: { zh: 区域, en: Region } }
checks:
  - not_null: [id, employee, department, region]
  - unique: [id]
  - accepted: { column: status, values: [active, left] }
---
select
  e.id,
  e.name || ' ' || e.work_no as employee,
  e.department_id,
  d.department,
  d.region,
  e.title as position,
  e.status,
  e.entry_date,
  e.left_date,
  e.leave_from,
  e.leave_to,
  e.delegate_id
from clean.employees e
join clean.departments d on e.department_id = d.id

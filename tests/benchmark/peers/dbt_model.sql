{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='domain_sessionid') }}

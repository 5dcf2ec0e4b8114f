-- What kumo.shaping.load does: reads files that say how to treat each site, merges
-- them, and answers which fields a path has.
--
--   [default]                        # for every site: fields of kumo.make_egress_path
--   connection_limit = 10
--   ["example.com"]                  # for all domains with the mail hosts of this one
--   max_message_rate = "10/s"
--   mx_rollup = false                # no: for this domain alone
--   replace_base = true              # forget what was said before about it
--   ["example.com".sources."ip-1"]   # from this source
--   [provider."big"]                 # for all domains whose mail hosts match
--   match = [{ MXSuffix = ".big.example" }, { HostName = "mx.big.example" }, { DomainSuffix = ".big" }]
--   provider_connection_limit = 20   # shared by all of its sites, for each source
--   provider_max_message_rate = "100/s"
--   [[default.automation]]           # read, and not followed
--
-- Later files add to earlier ones.  The order in which a path is made from the
-- sections: see get_egress_path_config below.
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local sections = require 'penstock.shaping_section'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local is_map, wrong, check_table = sections.is_map, sections.wrong, sections.check_table
-- These are merged name by name; all other fields are replaced.
local MERGED = {
  additional_connection_limits = true,
  additional_message_rate_throttles = true,
  additional_source_selection_rates = true,
}

-- ---- options ----

local Level = typing.enum('level', 'Ignore', 'Warn', 'Error')
local Options = typing.record('kumo.shaping.load', {
  aliased_site = typing.default(Level, 'Ignore'),
  dns_fail = typing.default(Level, 'Ignore'),
  null_mx = typing.default(Level, 'Ignore'),
  provider_overlap = typing.default(Level, 'Ignore'),
  local_load = typing.default(Level, 'Error'),
  remote_load = typing.default(Level, 'Ignore'),
  skip_remote = typing.default(typing.boolean, false),
  http_timeout = typing.option(typing.any),
  -- Not in the original language: look at the files only, as `penstock check` does.
  skip_dns = typing.default(typing.boolean, false),
})

-- ---- files ----

local function report(found, level, ...)
  if level == 'Warn' then
    table.insert(found.warnings, string.format(...))
  elseif level == 'Error' then
    table.insert(found.errors, string.format(...))
  end
end

local function parse(name, text)
  local formats = { 'toml_parse', 'json_parse' }
  if utils.ends_with(name, '.toml') then
    formats = { 'toml_parse' }
  elseif utils.ends_with(name, '.json') then
    formats = { 'json_parse' }
  end
  local reasons = {}
  for _, format in ipairs(formats) do
    local ok, result = pcall(kumo.serde[format], text)
    if ok then
      return result
    end
    reasons[#reasons + 1] = tostring(result):gsub('^' .. format .. ': ', '')
  end
  wrong(name, '%s', table.concat(reasons, '; as JSON: '))
end

-- The table in a file, and what to call it.  A table is its own file.
local function read_file(found, file, options)
  if is_map(file) then
    return file, 'shaping'
  end
  if type(file) ~= 'string' then
    wrong('kumo.shaping.load', 'invalid file: %s, expected a name', utils.dumps(file))
  end
  if file:match '^https?://' then
    if not options.skip_remote then
      wrong(file, 'shaping data is not fetched from elsewhere; keep it in a file, or say skip_remote = true')
    end
    report(found, 'Warn', '%s: left out, because of skip_remote', file)
    return {}, file
  end
  local ok, text = pcall(function()
    local f <close> = setmetatable({ kumo.fs.open(file, 'r') }, {
      __close = function(self)
        self[1]:close()
      end,
    })
    return f[1]:read()
  end)
  if not ok then
    report(found, options.local_load, '%s', (tostring(text):gsub('^[%w_./-]+%.lua:%d+: ', '')))
    return {}, file
  end
  return check_table(file, parse(file, text)), file
end

-- Everything that the files say, in order.
local function read_files(files, options, found)
  local all = { defaults = {}, domains = {}, providers = {} }
  for _, file in ipairs(files) do
    local data, name = read_file(found, file, options)
    for _, key in ipairs(utils.table_keys(data)) do
      local section = data[key]
      local where = string.format('%s: [%s]', name, utils.dumps(key))
      if key == 'provider' then
        for _, provider in ipairs(utils.table_keys(check_table(where, section))) do
          local here = string.format('%s: [provider.%s]', name, utils.dumps(provider))
          local p = sections.provider(here, section[provider])
          p.name = tostring(provider)
          table.insert(all.providers, p)
        end
      elseif key == 'default' then
        table.insert(all.defaults, sections.domain(where, section))
      else
        local domain = tostring(key):lower():gsub('%.$', '')
        if domain:find('*', 1, true) then
          wrong(where, 'invalid section: there are no wildcards; [default] is for every site')
        elseif not domain:find('.', 1, true) and is_map(section) then
          where = string.format('%s (a domain stands in quotes, ["%s.com"])', where, domain)
        end
        local d = sections.domain(where, section)
        d.name = domain
        table.insert(all.domains, d)
      end
    end
  end
  return all
end

-- ---- merging ----

local function merge_fields(from, into)
  for key, value in pairs(from) do
    if MERGED[key] then
      into[key] = utils.merge_into(value, utils.merge_into(into[key] or {}, {}))
    else
      into[key] = value
    end
  end
  return into
end

local function new_section()
  return { fields = {}, sources = {}, where = {}, rules = 0 }
end

-- Adds one section of one file to what is there of it.
local function add(section, into)
  if section.replaces then
    into.replaces = true
    into.fields, into.sources, into.where, into.rules = {}, {}, {}, 0
    into.matches, into.connection_limit, into.message_rate, into.selection_rate = nil, nil, nil, nil
  end
  merge_fields(section.fields, into.fields)
  for name, source in pairs(section.sources) do
    local known = into.sources[name] or { fields = {} }
    merge_fields(source.fields, known.fields)
    known.selection_rate = source.selection_rate or known.selection_rate
    into.sources[name] = known
  end
  for _, key in ipairs { 'connection_limit', 'message_rate', 'selection_rate' } do
    into[key] = section[key] or into[key]
  end
  if section.matches then
    into.matches = table.move(section.matches, 1, #section.matches, #(into.matches or {}) + 1, into.matches or {})
  end
  into.rules = into.rules + section.rules
  table.insert(into.where, section.where)
end

local function add_named(map, name, section)
  map[name] = map[name] or new_section()
  add(section, map[name])
end

-- domain -> site name, for all sections that roll up.
local function find_sites(found, domains, options)
  local list, names = {}, {}
  for _, d in ipairs(domains) do
    if d.rolls_up and not names[d.name] then
      names[d.name] = d.name
      list[#list + 1] = d.name
    end
  end
  if options.skip_dns then
    return names
  end
  local sites, reasons = penstock.site_names(list)
  for _, domain in ipairs(list) do
    if reasons[domain] then
      local use = sites[domain] and 'the hosts that it had are used' or 'its section is not used'
      report(found, options.dns_fail, '%s: no mail hosts found: %s; %s', domain, reasons[domain], use)
    elseif sites[domain] == '' then
      report(found, options.null_mx, '%s takes no mail (null MX); its section is not used, unless it says mx_rollup = false', domain)
      sites[domain] = nil
    end
  end
  return sites
end

local function merge(found, all, options)
  local data = { default = new_section(), sites = {}, domains = {}, providers = {} }
  local sites, aliases, by_name = find_sites(found, all.domains, options), {}, {}
  for _, section in ipairs(all.defaults) do
    add(section, data.default)
  end
  for _, section in ipairs(all.domains) do
    local site = sites[section.name]
    if not section.rolls_up then
      add_named(data.domains, section.name, section)
    elseif site then
      add_named(data.sites, site, section)
      aliases[site] = aliases[site] or {}
      aliases[site][section.name] = true
    end
  end
  for _, site in ipairs(utils.table_keys(aliases)) do
    local names = utils.table_keys(aliases[site])
    if #names > 1 then
      report(found, options.aliased_site, '%s have the same mail hosts, %s: their sections are merged', table.concat(names, ', '), site)
    end
  end
  for _, section in ipairs(all.providers) do
    add_named(by_name, section.name, section)
  end
  for _, name in ipairs(utils.table_keys(by_name)) do
    local p = by_name[name]
    p.name = name
    if not p.matches or #p.matches == 0 then
      report(found, 'Warn', '%s: it has no match, so it is for no domain', table.concat(p.where, ', '))
    end
    table.insert(data.providers, p)
  end
  return data
end

-- ---- which fields a path has ----

-- What a provider adds to the fields besides its own.
local function apply_provider(p, source, rate, fields)
  local shared = string.format('shaping-provider-%s-%s', p.name, source)
  merge_fields({
    provider_name = p.name,
    additional_connection_limits = p.connection_limit and { [shared .. '-limit'] = p.connection_limit },
    additional_message_rate_throttles = p.message_rate and { [shared .. '-rate'] = p.message_rate },
    additional_source_selection_rates = rate and { [shared .. '-selection-rate'] = rate },
  }, fields)
end

local function apply_providers(list, source, fields)
  for _, p in ipairs(list) do
    merge_fields(p.fields, fields)
    apply_provider(p, source, p.selection_rate, fields)
  end
  for _, p in ipairs(list) do
    local own = p.sources[source]
    if own then
      merge_fields(own.fields, fields)
      apply_provider(p, source, own.selection_rate, fields)
    end
  end
end

local function fields_of(section)
  return section and section.fields or {}
end

local function source_of(section, source)
  local own = section and section.sources[source]
  return own and own.fields or {}
end

-- Default, providers, site, domain; then what site and domain say of the source.
-- A site or domain with replace_base begins anew.
local function combine(data, providers, site, domain, source)
  local fields = {}
  if not (site and site.replaces) and not (domain and domain.replaces) then
    merge_fields(data.default.fields, fields)
    merge_fields(source_of(data.default, source), fields)
    apply_providers(providers, source, fields)
  end
  if not (domain and domain.replaces) then
    merge_fields(fields_of(site), fields)
  end
  merge_fields(fields_of(domain), fields)
  if not (domain and domain.replaces) then
    merge_fields(source_of(site, source), fields)
  end
  merge_fields(source_of(domain, source), fields)
  return fields
end

local function host_matches(m, host)
  if m.kind == 'MXSuffix' then
    return utils.ends_with(host, m.text)
  end
  return m.kind == 'HostName' and host == m.text
end

local function any_matches(matches, host)
  for _, m in ipairs(matches) do
    if host_matches(m, host) then
      return true
    end
  end
  return false
end

-- When a name server has not answered in time it is not asked for a while: not
-- every path shall wait for it.
local SLOW_SECONDS, REST_SECONDS = 2, 30
local rests_until = 0

-- The mail hosts of the domain; nil: none, or it cannot be told.
local function hosts_of(domain)
  local began = os.time()
  if began < rests_until and rests_until <= began + REST_SECONDS then
    return nil
  end
  local ok, mx = pcall(kumo.dns.lookup_mx, domain)
  if not ok then
    local now = os.time()
    if now - began >= SLOW_SECONDS then
      rests_until = now + REST_SECONDS
    end
    return nil
  end
  local hosts = {}
  for i, host in ipairs(mx.hosts) do
    hosts[i] = host:lower():gsub('%.$', '')
  end
  return #hosts > 0 and hosts or nil
end

-- All hosts must be the provider's, so that a domain with hosts of several
-- belongs to none.  `ask` looks the hosts up, once.  Without an answer the part of
-- the site's name that all its hosts have in common decides.
local function provider_matches(p, domain, site, ask)
  local needs_hosts = false
  for _, m in ipairs(p.matches or {}) do
    if m.kind == 'DomainSuffix' and utils.ends_with(domain, m.text) then
      return true
    end
    needs_hosts = needs_hosts or m.kind ~= 'DomainSuffix'
  end
  if not needs_hosts then
    return false
  end
  for _, host in ipairs(ask() or { site:lower():match '[^()|?]*$' }) do
    if not any_matches(p.matches, host) then
      return false
    end
  end
  return true
end

local function find_providers(data, domain, site)
  local list, hosts, asked = {}, nil, false
  if not domain:match '^[%w._\x80-\xff-]+$' then
    return list
  end
  local function ask()
    if not asked then
      asked, hosts = true, hosts_of(domain)
    end
    return hosts
  end
  for _, p in ipairs(data.providers) do
    if provider_matches(p, domain, site, ask) then
      list[#list + 1] = p
    end
  end
  return list
end

-- ---- checks of the whole ----

-- Makes the paths of a section, for what the fields need of each other.
local function check_whole(data, section, make)
  local sources = utils.table_keys(section.sources)
  table.insert(sources, '')
  for _, source in ipairs(sources) do
    local ok, err = pcall(kumo.make_egress_path, make(source))
    if not ok then
      local from = source ~= '' and string.format(': sources.%s', utils.dumps(source)) or ''
      wrong(table.concat(section.where, ', ') .. from, '%s', sections.reason(err))
    end
  end
end

local function check_all(data)
  check_whole(data, data.default, function(source)
    return combine(data, {}, nil, nil, source)
  end)
  for _, site in pairs(data.sites) do
    check_whole(data, site, function(source)
      return combine(data, {}, site, nil, source)
    end)
  end
  for _, domain in pairs(data.domains) do
    check_whole(data, domain, function(source)
      return combine(data, {}, nil, domain, source)
    end)
  end
  for _, p in ipairs(data.providers) do
    check_whole(data, p, function(source)
      return combine(data, { p }, nil, nil, source)
    end)
  end
end

local function check_overlap(found, all, data, options)
  if options.provider_overlap == 'Ignore' or options.skip_dns then
    return
  end
  for _, d in ipairs(all.domains) do
    for _, p in ipairs(d.rolls_up and find_providers(data, d.name, '') or {}) do
      report(found, options.provider_overlap, '%s is also matched by the provider %s', d.where, p.name)
    end
  end
end

local function count_rules(data)
  local n = data.default.rules
  for _, list in ipairs { data.sites, data.domains, data.providers } do
    for _, section in pairs(list) do
      n = n + section.rules
    end
  end
  return n
end

-- ---- kumo.shaping ----

-- The data behind the object; its methods follow and have the data first.
function mod.load(files, options)
  if not is_map(files) then
    wrong('kumo.shaping.load', 'invalid type: %s, expected an array of file names', utils.dumps(files))
  end
  options = Options(options or {})
  local found = { warnings = {}, errors = {} }
  local all = read_files(files, options, found)
  local data = merge(found, all, options)
  check_all(data)
  check_overlap(found, all, data, options)
  if count_rules(data) > 0 then
    report(found, 'Warn', '%d rules of automation are not followed: there is no automation here', count_rules(data))
  end
  data.warnings, data.errors = found.warnings, found.errors
  data.hash = tostring(kumo.digest.sha256(kumo.serde.json_encode(data)))
  return data
end

function mod.get_egress_path_config(data, domain, source, site)
  for i = 1, 3 do
    local text = select(i, domain, source, site)
    if type(text) ~= 'string' then
      wrong('get_egress_path_config', 'invalid argument %d: %s, expected text', i, utils.dumps(text))
    end
  end
  domain = domain:lower()
  local providers = find_providers(data, domain, site)
  return combine(data, providers, data.sites[site], data.domains[domain], source)
end

local function plain_list(list)
  return utils.merge_into(list, {})
end

function mod.get_errors(data)
  return plain_list(data.errors)
end

function mod.get_warnings(data)
  return plain_list(data.warnings)
end

function mod.get_referenced_sources(data)
  local out = {}
  local function note(section, name)
    for source in pairs(section.sources) do
      out[source] = out[source] or {}
      table.insert(out[source], name)
    end
  end
  note(data.default, 'default')
  for site, section in pairs(data.sites) do
    note(section, 'site:' .. site)
  end
  for domain, section in pairs(data.domains) do
    note(section, 'domain:' .. domain)
  end
  for _, p in ipairs(data.providers) do
    note(p, 'provider:' .. p.name)
  end
  for _, list in pairs(out) do
    table.sort(list)
  end
  return out
end

function mod.hash(data)
  return data.hash
end

function mod.match_rules()
  error('shaping:match_rules is not supported: there is no traffic-shaping automation here', 0)
end

return mod

{{- /* Made by `python -m deploy.k8s.chart` of what deploy/k8s/components has. */ -}}
{{- define "campus.data.redis" -}}
redis.conf: |
  # Everything that was acknowledged is in here: it is written down at least every second.
  dir /data
  appendonly yes
  appendfsync everysec
  save ""
  # While the append-only file is rewritten, pages that change are there twice: room for them, below the container's limit.
  maxmemory {{ .Values.redis.maxmemory }}
  maxmemory-policy noeviction
  # A session may have 1,000 packet identifiers of QoS 2 open: as a list of numbers they take 4 kB instead of 60.
  set-max-intset-entries 1024
  # Users; the default one may only ask whether Redis is there.
  aclfile /run/secrets/users.acl
{{- end }}
{{- define "campus.data.make-cluster" -}}
make-cluster: |
  #!/usr/bin/env bash
  # Make a Redis Cluster of MEMBER[:PORT]..., the first half of which are its masters, or let members that know each other
  # already find each other at new addresses. What is right stays as it is, so it may be run at each start, and again after
  # it was killed. The password of the user `cluster` is in /run/secrets/cluster-password, or in the file that is named by
  # CLUSTER_PASSWORD_FILE. Needs redis-cli and servers of 7.0 or later.
  set -euo pipefail
  REDISCLI_AUTH="$(cat "${CLUSTER_PASSWORD_FILE:-/run/secrets/cluster-password}")"
  export REDISCLI_AUTH
  members=("$@")
  count=${#members[@]}
  masters=$((count / 2))
  [ "$masters" -ge 3 ] || { echo "make-cluster: six members at the least" >&2; exit 2; }

  host() { echo "${members[$1]%%:*}"; }
  port() { case ${members[$1]} in *:*) echo "${members[$1]##*:}" ;; *) echo 6379 ;; esac; }
  # Members find each other by addresses alone.
  address() { getent ahostsv4 "$(host "$1")" | awk '{ print $1; exit }'; }
  ask() { redis-cli -e --user cluster --no-auth-warning -h "$(host "$1")" -p "$(port "$1")" "${@:2}"; }
  info() { ask "$1" cluster info | tr -d '\r' | sed -n "s/^$2://p"; }
  myself() { ask "$1" cluster nodes | grep myself; }
  until_true() {
      local what=$1 tries=0
      shift
      until "$@" > /dev/null 2>&1; do
          tries=$((tries + 1))
          [ "$tries" -lt "${TRIES:-240}" ] || { echo "make-cluster: $what: not in time" >&2; exit 1; }
          sleep 0.5
      done
  }
  answers() { ask "$1" ping; }
  all_met() { for ((n = 0; n < count; n++)); do [ "$(info $n cluster_known_nodes)" -ge "$count" ] || return 1; done; }
  all_well() {
      for ((n = 0; n < count; n++)); do
          [ "$(info $n cluster_state) $(info $n cluster_slots_ok)" = "ok 16384" ] || return 1
          # Each has to know of itself whether it is a master with slots or a replica.
          [[ "$(myself $n)" == *slave* || "$(myself $n | wc -w)" -gt 8 ]] || return 1
          ! ask $n info replication | grep -q "^master_link_status:down" || return 1
      done
  }
  knows() { ask "$1" cluster nodes | grep -q "$2"; }

  for ((n = 0; n < count; n++)); do until_true "${members[$n]} answers" answers "$n"; done
  # Each with each: a member at a new address is heard of by whom it speaks to, and a replica has to know its master's.
  for ((n = 0; n < count; n++)); do
      for ((m = 0; m < count; m++)); do
          [ "$n" = "$m" ] || ask $m cluster meet "$(address $n)" "$(port $n)" > /dev/null
      done
  done
  until_true "all members have met" all_met
  if [ "$(info 0 cluster_slots_assigned)" != 16384 ]; then
      for ((n = 0; n < masters; n++)); do
          # Of one that has them already, after half of it was done, this is an error.
          ask $n cluster addslotsrange $((16384 * n / masters)) $((16384 * (n + 1) / masters - 1)) > /dev/null || true
      done
  fi
  for ((n = masters; n < count; n++)); do
      # A master without slots follows the master of its number; any other is what it should be, or has been promoted.
      if [[ "$(myself $n)" == *master* && "$(myself $n | wc -w)" -le 8 ]]; then
          id="$(ask $((n - masters)) cluster myid)"
          until_true "${members[$n]} knows its master" knows "$n" "$id"
          ask $n cluster replicate "$id" > /dev/null
      fi
  done
  until_true "the cluster is well" all_well
  echo "the cluster is well: $(info 0 cluster_size) masters, $count members"
{{- end }}
{{- define "campus.data.redis-cluster" -}}
redis.conf: |
  # Everything that was acknowledged is in here: it is written down at least every second.
  dir /data
  appendonly yes
  appendfsync everysec
  save ""
  # While the append-only file is rewritten, pages that change are there twice: room for them, below the container's limit.
  maxmemory {{ .Values.redis.maxmemory }}
  maxmemory-policy noeviction
  # A session may have 1,000 packet identifiers of QoS 2 open: as a list of numbers they take 4 kB instead of 60.
  set-max-intset-entries 1024
  # Users; the default one may only ask whether Redis is there.
  aclfile /run/secrets/users.acl
  # The user that replicas log in as at their masters.
  include /run/secrets/replication.conf
  cluster-enabled yes
  cluster-config-file nodes.conf
  # A master that does not answer for so long is taken for dead, and its replica takes over.
  cluster-node-timeout 5000
  # A replica that has lost its master for long takes over all the same: there is one alone.
  cluster-replica-validity-factor 0
  # Where a part of the slots has no master, the others go on.
  cluster-require-full-coverage no
  repl-timeout 10
  repl-diskless-sync yes
  repl-diskless-sync-delay 0
{{- end }}
{{- define "campus.data.couchdb" -}}
single.ini: |
  ; One node alone makes its system databases itself.
  [couchdb]
  single_node = true
  [chttpd]
  ; Whoever logs in may list the names of databases: services see by them which months there are, and are no administrators.
  admin_only_all_dbs = false
  [cluster]
  ; One copy of each document: with three, the default, each database that is made is an error in the log.
  n = 1
{{- end }}
{{- define "campus.makes-redis-cluster" -}}
backoffLimit: 10
template:
  metadata:
    labels:
      app.kubernetes.io/name: redis-cluster
      app.kubernetes.io/part-of: campus
  spec:
    automountServiceAccountToken: false
    containers:
    - command:
      - bash
      - /etc/campus/make-cluster
      - redis-0.redis
      - redis-1.redis
      - redis-2.redis
      - redis-3.redis
      - redis-4.redis
      - redis-5.redis
      image: {{ .Values.redis.image | quote }}
      name: redis-cluster
      resources:
        limits:
          cpu: '1'
          memory: 64Mi
        requests:
          cpu: 50m
          memory: 32Mi
      securityContext:
        allowPrivilegeEscalation: false
        capabilities:
          drop:
          - ALL
        readOnlyRootFilesystem: true
      volumeMounts:
      - mountPath: /etc/campus
        name: config
        readOnly: true
      - mountPath: /run/secrets
        name: secrets
        readOnly: true
    enableServiceLinks: false
    restartPolicy: OnFailure
    securityContext:
      fsGroup: 999
      runAsGroup: 999
      runAsNonRoot: true
      runAsUser: 999
      seccompProfile:
        type: RuntimeDefault
    volumes:
    - configMap:
        name: {{ include "campus.config" (list $ "make-cluster") }}
      name: config
    - name: secrets
      secret:
        defaultMode: 288
        items:
        - key: cluster-password
          path: cluster-password
        secretName: redis
    {{- if .Values.quota.enabled }}
    priorityClassName: campus-next
    {{- end }}
ttlSecondsAfterFinished: 600
{{- end }}
